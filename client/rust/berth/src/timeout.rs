use std::os::raw::c_int;
use std::time::Duration;

/// As poll(2) takes it: whole milliseconds, never less than was asked for; none waits without end.
pub(crate) fn milliseconds(timeout: Option<Duration>) -> c_int {
    match timeout {
        None => -1,
        Some(timeout) => {
            let whole = timeout.as_nanos() / 1_000_000 + u128::from(timeout.as_nanos() % 1_000_000 != 0);
            c_int::try_from(whole).unwrap_or(c_int::MAX)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_never_shorter_than_asked_for() {
        assert_eq!(milliseconds(None), -1);
        assert_eq!(milliseconds(Some(Duration::ZERO)), 0);
        assert_eq!(milliseconds(Some(Duration::from_nanos(1))), 1);
        assert_eq!(milliseconds(Some(Duration::from_millis(1500))), 1500);
        assert_eq!(milliseconds(Some(Duration::from_micros(1001))), 2);
        assert_eq!(milliseconds(Some(Duration::MAX)), c_int::MAX);
    }
}
