//! Panics inside the model runtime, turned into errors.
//!
//! The runtime is a large crate that was not written for hostile graphs, and some of its checks are assertions. All it
//! touches is the model's bytes and its own memory, so a panic there says that this model cannot be used, and nothing
//! about the rest of the process. A program whose panic hook ends the process asks [`is_guarded`] first.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

static PROBE: OnceLock<fn()> = OnceLock::new();

/// Has a function called wherever the model runtime is about to be, inside the guard: for drills, in which it panics. The first
/// call counts.
pub fn probe(with: fn()) {
    PROBE.get_or_init(|| with);
}

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Whether a panic of this thread, now, would be caught by this module.
pub fn is_guarded() -> bool {
    DEPTH.with(|depth| depth.get() > 0)
}

/// Does it, and gives what a panic said as the error.
///
/// What `work` leaves half done must not be used after an error.
pub(crate) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    DEPTH.with(|depth| depth.set(depth.get() + 1));
    let work = || {
        if let Some(probe) = PROBE.get() {
            probe();
        }
        work()
    };
    let result = catch_unwind(AssertUnwindSafe(work));
    DEPTH.with(|depth| depth.set(depth.get() - 1));
    result.map_err(|payload| format!("it panicked: {}", message(payload.as_ref())))
}

fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("without a word")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_and_the_guard_ends_with_it() {
        assert!(!is_guarded());
        let error = guarded(|| {
            assert!(is_guarded());
            let nothing: Vec<u32> = Vec::new();
            nothing[usize::from(is_guarded())]
        })
        .expect_err("an index past the end");
        assert!(error.contains("it panicked: index out of bounds"), "{error}");
        assert!(!is_guarded());
    }
}
