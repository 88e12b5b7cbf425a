//! Which device is the context disk, and how long it is waited for.
use super::*;
