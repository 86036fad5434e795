//! The time of day in universal time.

/// `2026-01-31 15:30:00`.
pub fn now() -> String {
    let (year, month, day, hour, minute, second) = parts();
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

/// `2026-01-31-153000`, for the names of folders.
pub fn stamp() -> String {
    let (year, month, day, hour, minute, second) = parts();
    format!("{year:04}-{month:02}-{day:02}-{hour:02}{minute:02}{second:02}")
}

/// Seconds since the beginning of 1970.
pub fn seconds() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |d| d.as_secs())
}

fn parts() -> (u64, u64, u64, u64, u64, u64) {
    let seconds = seconds();
    let (year, month, day) = date(seconds / 86_400);
    (year, month, day, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60)
}

/// Year, month and day of a day counted from 1970-01-01 (Gregorian calendar; Howard Hinnant's algorithm).
fn date(day: u64) -> (u64, u64, u64) {
    let z = day + 719_468;
    let era = z / 146_097;
    let of_era = z % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn days_become_dates() {
        assert_eq!(date(0), (1970, 1, 1));
        assert_eq!(date(19_782), (2024, 2, 29)); // date -d @$((19782*86400)): 2024-02-29
        assert_eq!(date(20_088), (2024, 12, 31));
    }
}
