//! Whatever carries the files.
use super::*;
