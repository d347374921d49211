//! The size of the pages that a serving process gets from the system.

/// From now on this process, and what it starts, gets pages of the system's plain size.
///
/// The allocator asks Linux for pages of 2 MiB, of which each that is touched at one place is resident as a whole. For
/// training that is the faster way. A server's buffers come and go on several threads: more than a third of its memory
/// would be such rests, for 2 % of the time of a prediction.
#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "a setting of the process, for which there is only the system call")]
pub fn small() {
    let (yes, none): (libc::c_ulong, libc::c_ulong) = (1, 0);
    // SAFETY: the call takes numbers alone and touches no memory of ours. A kernel that does not know it says so; then
    // the memory is larger, and that is all.
    let _ = unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, yes, none, none, none) };
}

/// Elsewhere the system decides by itself.
#[cfg(not(target_os = "linux"))]
pub fn small() {}

/// [`small`] for a binary that only serves, before its first allocation: the allocator's own beginnings touch some places of
/// many large pages, whose clearing takes up to 20 ms of a start.
///
/// To be written once, beside `main`.
#[macro_export]
macro_rules! small_pages_from_the_start {
    () => {
        // The loader calls what stands in this section before anything else of the program, in the order of the numbers,
        // of which those up to 100 are the system's.
        #[cfg(target_os = "linux")]
        #[allow(unsafe_code, reason = "the name of a section, which the linker knows")]
        #[used]
        #[unsafe(link_section = ".init_array.00101")]
        static SMALL_PAGES: extern "C" fn() = {
            extern "C" fn first() {
                $crate::pages::small();
            }
            first
        };
    };
}
