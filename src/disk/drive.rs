//! The status of an optical drive.
use core::ffi::c_void;

use rustix::fd::BorrowedFd;
use rustix::io::Errno;
use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, ioctl};

use crate::base::error::Error;

/// The status of a drive. Any other device is `Ready`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriveStatus {
    /// The drive reports nothing that prevents reading.
    Ready,
    /// No medium, or an open tray.
    Empty,
    /// The medium is being recognized.
    NotReady,
}

impl DriveStatus {
    /// The error for [`DriveStatus::NotReady`].
    pub const NOT_READY: Error = Error::new(c"the drive is still becoming ready");

    /// Asks the drive for its status.
    pub fn of(drive: BorrowedFd<'_>) -> Self {
        // SAFETY: the call passes an integer and reads or writes no memory.
        match unsafe { ioctl(drive, ReadDriveStatus) } {
            Ok(1 | 2) => Self::Empty,
            Ok(3) => Self::NotReady,
            _ => Self::Ready,
        }
    }

    /// An error unless there is something to read.
    pub fn medium(self) -> Result<(), Error> {
        match self {
            Self::Ready => Ok(()),
            Self::Empty => Err(Errno::NOMEDIUM.into()),
            Self::NotReady => Err(Self::NOT_READY),
        }
    }
}

/// `CDROM_DRIVE_STATUS` (`include/uapi/linux/cdrom.h`): `CDS_NO_INFO` 0,
/// `CDS_NO_DISC` 1, `CDS_TRAY_OPEN` 2, `CDS_DRIVE_NOT_READY` 3, `CDS_DISC_OK`
/// 4. `sr` answers 3 while the unit says that it is becoming ready
/// (`drivers/scsi/sr_ioctl.c`, `sr_drive_status`).
struct ReadDriveStatus;

// SAFETY: the opcode takes an integer in place of a pointer, here
// `CDSL_CURRENT`, and answers by its return value alone.
unsafe impl Ioctl for ReadDriveStatus {
    type Output = i32;
    const IS_MUTATING: bool = false;

    fn opcode(&self) -> Opcode {
        0x5326
    }

    fn as_ptr(&mut self) -> *mut c_void {
        core::ptr::without_provenance_mut(i32::MAX as usize)
    }

    unsafe fn output_from_ptr(out: IoctlOutput, _: *mut c_void) -> Result<i32, Errno> {
        Ok(out)
    }
}
