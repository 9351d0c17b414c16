//! SQLite's door to the simulation: a VFS whose files are [`Handle`]s.
//!
//! It is the process's default VFS, because SQLite seeds its own random numbers from that one.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::Once;
use std::time::Duration;

use litefs_core::Errno;
use rusqlite::ffi;

use crate::content::Content;
use crate::coroutine;
use crate::handle::{Handle, Named};
use crate::locks::Level;
use crate::world;

/// Milliseconds from the beginning of SQLite's Julian days to the Unix epoch.
const JULIAN_EPOCH_MS: i64 = 210_866_760_000_000;

/// The first byte of those that SQLite locks.
const PENDING_BYTE: u32 = 0x4000_0000;

/// Bytes of a sector as SQLite's own VFS for Unix reports them.
const SECTOR: c_int = 4096;

/// Makes the simulation the place where SQLite keeps files, and its random numbers depend on the node's alone.
///
/// Those are global to the process, which is why only one simulation may run at a time.
pub(crate) fn install() {
    static REGISTER: Once = Once::new();
    REGISTER.call_once(|| {
        let vfs = Box::new(ffi::sqlite3_vfs {
            iVersion: 2,
            szOsFile: c_int::try_from(size_of::<OpenFile>()).unwrap_or(c_int::MAX),
            mxPathname: 256,
            pNext: std::ptr::null_mut(),
            zName: c"litefs-sim".as_ptr(),
            pAppData: std::ptr::null_mut(),
            xOpen: Some(open),
            xDelete: Some(delete),
            xAccess: Some(access),
            xFullPathname: Some(full_pathname),
            xDlOpen: None,
            xDlError: None,
            xDlSym: None,
            xDlClose: None,
            xRandomness: Some(randomness),
            xSleep: Some(sleep),
            xCurrentTime: None,
            xGetLastError: None,
            xCurrentTimeInt64: Some(current_time),
            xSetSystemCall: None,
            xGetSystemCall: None,
            xNextSystemCall: None,
        });
        // SAFETY: the structure is complete for its version and, being leaked, lives as long as the process.
        let code = unsafe { ffi::sqlite3_vfs_register(Box::into_raw(vfs), 1) };
        assert_eq!(code, ffi::SQLITE_OK, "SQLite refused the simulator's VFS");
    });
    // SAFETY: a request for no bytes only makes SQLite seed its generator anew at the next use.
    unsafe { ffi::sqlite3_randomness(0, std::ptr::null_mut()) };
}

/// Where SQLite locks a database and never writes it: the files of a run agree in it.
pub(crate) fn move_pending_byte(place: Option<u32>) {
    let place = place.unwrap_or(PENDING_BYTE);
    // SAFETY: SQLite reads one unsigned number for this operation. No database is open.
    unsafe { ffi::sqlite3_test_control(ffi::SQLITE_TESTCTRL_PENDING_BYTE, place) };
}

/// What SQLite allocates for an open file: its own part, then ours.
#[repr(C)]
struct OpenFile {
    base: ffi::sqlite3_file,
    file: *mut File,
}

enum File {
    Named(Handle),
    /// A file without a name: nobody else sees it and no crash spares it.
    Temporary(Content),
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// The answer for an operation that fails with `errno`.
fn failure(errno: Errno, otherwise: c_int) -> c_int {
    if errno == Errno::ENOSPC { ffi::SQLITE_FULL } else { otherwise }
}

fn code(result: Result<(), Errno>, otherwise: c_int) -> c_int {
    result.map_or_else(|errno| failure(errno, otherwise), |()| ffi::SQLITE_OK)
}

fn busy(result: Result<bool, Errno>, otherwise: c_int) -> c_int {
    match result {
        Ok(true) => ffi::SQLITE_OK,
        Ok(false) => ffi::SQLITE_BUSY,
        Err(_) => otherwise,
    }
}

/// # Safety
/// `file` is an [`OpenFile`] that `open` filled and `close` has not seen.
unsafe fn file_of<'a>(file: *mut ffi::sqlite3_file) -> &'a mut File {
    // SAFETY: by the contract the pointer is to an `OpenFile`, and its `file` came from `Box::into_raw`. SQLite uses a
    // file from one connection only, and a connection is used by one statement at a time.
    unsafe { &mut *(*file.cast::<OpenFile>()).file }
}

/// # Safety
/// `name` is null or a string that ends in a zero.
unsafe fn name_of<'a>(name: *const c_char) -> Option<&'a str> {
    if name.is_null() {
        return None;
    }
    // SAFETY: by the contract.
    unsafe { CStr::from_ptr(name) }.to_str().ok()
}

unsafe extern "C" fn open(
    _vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    out: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    let out = out.cast::<OpenFile>();
    // SAFETY: SQLite allocates `szOsFile` bytes; without methods it does not call `close`.
    unsafe { (*out).base.pMethods = std::ptr::null() };
    // SAFETY: SQLite's contract for the name.
    let file = match unsafe { name_of(name) } {
        None => File::Temporary(Content::default()),
        Some(name) => {
            let Some((node, name)) = world::resolve(name) else { return ffi::SQLITE_CANTOPEN };
            let create = flags & ffi::SQLITE_OPEN_CREATE != 0;
            match Handle::open(node, name, create, flags & ffi::SQLITE_OPEN_DELETEONCLOSE != 0) {
                Ok(handle) => File::Named(handle),
                Err(errno) => return failure(errno, ffi::SQLITE_CANTOPEN),
            }
        }
    };
    // SAFETY: as above; `out_flags` may be null.
    unsafe {
        (*out).file = Box::into_raw(Box::new(file));
        (*out).base.pMethods = &raw const METHODS;
        if !out_flags.is_null() {
            *out_flags = flags;
        }
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: `open` filled it, and SQLite closes a file once.
    let file = unsafe { Box::from_raw((*file.cast::<OpenFile>()).file) };
    if let File::Named(handle) = *file {
        handle.close();
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    buf: *mut c_void,
    len: c_int,
    offset: ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: SQLite passes `len` writable bytes, and a file that `open` filled.
    let (file, buf) = unsafe {
        let len = usize::try_from(len).unwrap_or(0);
        (file_of(file), std::slice::from_raw_parts_mut(buf.cast::<u8>(), len))
    };
    let offset = offset.cast_unsigned();
    let result = match file {
        File::Named(handle) => handle.read(offset, buf),
        File::Temporary(content) => Ok(content.read_at(offset, buf)),
    };
    match result {
        Ok(count) if count == buf.len() => ffi::SQLITE_OK,
        Ok(count) => {
            buf[count..].fill(0);
            ffi::SQLITE_IOERR_SHORT_READ
        }
        Err(_) => ffi::SQLITE_IOERR_READ,
    }
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    data: *const c_void,
    len: c_int,
    offset: ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: SQLite passes `len` readable bytes, and a file that `open` filled.
    let (file, data) = unsafe {
        let len = usize::try_from(len).unwrap_or(0);
        (file_of(file), std::slice::from_raw_parts(data.cast::<u8>(), len))
    };
    let offset = offset.cast_unsigned();
    match file {
        File::Named(handle) => code(handle.write(offset, data), ffi::SQLITE_IOERR_WRITE),
        File::Temporary(content) => {
            content.write_at(offset, data);
            ffi::SQLITE_OK
        }
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, len: ffi::sqlite3_int64) -> c_int {
    // SAFETY: `open` filled it.
    match unsafe { file_of(file) } {
        File::Named(handle) => code(handle.set_len(len.cast_unsigned()), ffi::SQLITE_IOERR_TRUNCATE),
        File::Temporary(content) => {
            content.set_len(len.cast_unsigned());
            ffi::SQLITE_OK
        }
    }
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _flags: c_int) -> c_int {
    // SAFETY: `open` filled it.
    match unsafe { file_of(file) } {
        File::Named(handle) => code(handle.sync(), ffi::SQLITE_IOERR_FSYNC),
        File::Temporary(_) => ffi::SQLITE_OK,
    }
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, out: *mut ffi::sqlite3_int64) -> c_int {
    // SAFETY: `open` filled it.
    let len = match unsafe { file_of(file) } {
        File::Named(handle) => handle.len(),
        File::Temporary(content) => Ok(content.len()),
    };
    let Ok(len) = len else { return ffi::SQLITE_IOERR_FSTAT };
    // SAFETY: SQLite passes a place for the answer.
    unsafe { *out = len.cast_signed() };
    ffi::SQLITE_OK
}

fn level(number: c_int) -> Level {
    match number {
        ffi::SQLITE_LOCK_NONE => Level::Unlocked,
        ffi::SQLITE_LOCK_SHARED => Level::Shared,
        ffi::SQLITE_LOCK_RESERVED => Level::Reserved,
        ffi::SQLITE_LOCK_PENDING => Level::Pending,
        _ => Level::Exclusive,
    }
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, number: c_int) -> c_int {
    // SAFETY: `open` filled it.
    match unsafe { file_of(file) } {
        File::Named(handle) => busy(handle.lock(level(number)), ffi::SQLITE_IOERR_LOCK),
        File::Temporary(_) => ffi::SQLITE_OK,
    }
}

unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, number: c_int) -> c_int {
    // SAFETY: `open` filled it.
    if let File::Named(handle) = unsafe { file_of(file) } {
        handle.unlock(level(number));
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn check_reserved_lock(file: *mut ffi::sqlite3_file, out: *mut c_int) -> c_int {
    // SAFETY: `open` filled it, and SQLite passes a place for the answer.
    unsafe {
        *out = match file_of(file) {
            File::Named(handle) => c_int::from(handle.is_reserved()),
            File::Temporary(_) => 0,
        };
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_control(file: *mut ffi::sqlite3_file, operation: c_int, arg: *mut c_void) -> c_int {
    if operation != ffi::SQLITE_FCNTL_HAS_MOVED {
        return ffi::SQLITE_NOTFOUND;
    }
    // SAFETY: `open` filled it, and for this operation SQLite passes a place for a number.
    unsafe {
        let has_moved = matches!(file_of(file), File::Named(handle) if handle.has_moved());
        *arg.cast::<c_int>() = c_int::from(has_moved);
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn sector_size(_file: *mut ffi::sqlite3_file) -> c_int {
    SECTOR
}

unsafe extern "C" fn device_characteristics(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: `open` filled it.
    match unsafe { file_of(file) } {
        File::Named(handle) if !handle.is_powersafe() => 0,
        _ => ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE,
    }
}

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    region: c_int,
    _len: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    // SAFETY: `open` filled it.
    let File::Named(handle) = (unsafe { file_of(file) }) else { return ffi::SQLITE_IOERR_SHMMAP };
    let address = match handle.map_region(usize::try_from(region).unwrap_or(0), extend != 0) {
        Ok(Some(address)) => address,
        Ok(None) => return ffi::SQLITE_BUSY,
        Err(_) => return ffi::SQLITE_IOERR_SHMMAP,
    };
    // SAFETY: SQLite passes a place for the answer.
    unsafe { *out = address.cast() };
    ffi::SQLITE_OK
}

unsafe extern "C" fn shm_lock(
    file: *mut ffi::sqlite3_file,
    first: c_int,
    count: c_int,
    flags: c_int,
) -> c_int {
    // SAFETY: `open` filled it.
    let File::Named(handle) = (unsafe { file_of(file) }) else { return ffi::SQLITE_IOERR_SHMLOCK };
    let first = usize::try_from(first).unwrap_or(0);
    let slots = first..first + usize::try_from(count).unwrap_or(0);
    let wanted = (flags & ffi::SQLITE_SHM_LOCK != 0).then_some(flags & ffi::SQLITE_SHM_EXCLUSIVE != 0);
    busy(handle.lock_slots(slots, wanted), ffi::SQLITE_IOERR_SHMLOCK)
}

unsafe extern "C" fn shm_barrier(_file: *mut ffi::sqlite3_file) {}

unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, delete: c_int) -> c_int {
    // SAFETY: `open` filled it.
    if let File::Named(handle) = unsafe { file_of(file) } {
        handle.unmap(delete != 0);
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn delete(
    _vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    sync_directory: c_int,
) -> c_int {
    // SAFETY: SQLite's contract for the name.
    let Some((node, name)) = unsafe { name_of(name) }.and_then(world::resolve) else {
        return ffi::SQLITE_IOERR_DELETE;
    };
    let named = Named::new(&node, name);
    if node.disk().len(&named.path()).is_none() {
        return ffi::SQLITE_IOERR_DELETE_NOENT;
    }
    code(named.remove(&node, sync_directory != 0), ffi::SQLITE_IOERR_DELETE)
}

unsafe extern "C" fn access(
    _vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite's contract for the name.
    let Some((node, name)) = unsafe { name_of(name) }.and_then(world::resolve) else {
        return ffi::SQLITE_IOERR_ACCESS;
    };
    let len = node.disk().len(&Named::new(&node, name).path());
    // Whether a file exists is asked about journals, and one without content is as good as none.
    let found = len.is_some_and(|len| flags != ffi::SQLITE_ACCESS_EXISTS || len > 0);
    // SAFETY: SQLite passes a place for the answer.
    unsafe { *out = c_int::from(found) };
    ffi::SQLITE_OK
}

unsafe extern "C" fn full_pathname(
    _vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    len: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: SQLite's contract for the name, and `len` writable bytes at `out`.
    unsafe {
        let bytes = CStr::from_ptr(name).to_bytes_with_nul();
        if bytes.len() > usize::try_from(len).unwrap_or(0) {
            return ffi::SQLITE_CANTOPEN;
        }
        std::ptr::copy_nonoverlapping(bytes.as_ptr().cast(), out, bytes.len());
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn randomness(_vfs: *mut ffi::sqlite3_vfs, len: c_int, out: *mut c_char) -> c_int {
    // SAFETY: SQLite passes `len` writable bytes.
    let buf = unsafe { std::slice::from_raw_parts_mut(out.cast::<u8>(), usize::try_from(len).unwrap_or(0)) };
    match world::any_node() {
        Some(node) => node.draw(|rng| rng.fill(buf)),
        None => buf.fill(0),
    }
    len
}

unsafe extern "C" fn sleep(_vfs: *mut ffi::sqlite3_vfs, microseconds: c_int) -> c_int {
    coroutine::pause(Duration::from_micros(u64::try_from(microseconds).unwrap_or(0)));
    microseconds
}

unsafe extern "C" fn current_time(_vfs: *mut ffi::sqlite3_vfs, out: *mut ffi::sqlite3_int64) -> c_int {
    let now_ms = world::any_node().map_or(0, |node| node.now().wall_ms);
    // SAFETY: SQLite passes a place for the answer.
    unsafe { *out = JULIAN_EPOCH_MS + now_ms };
    ffi::SQLITE_OK
}
