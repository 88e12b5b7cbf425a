//! Dates.
use ufmt::{Formatter, uDisplay, uWrite};

/// Seconds since 1970, shown as `2026-11-27 14:16:05 UTC`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment(pub u64);

impl uDisplay for Moment {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        const DAY: u64 = 86_400;
        // The algorithm counts eras of 400 years that begin on 1 March, so that a leap
        // day is the last day of its year (Hinnant, "chrono-Compatible Low-Level Date
        // Algorithms").
        const ERA: u64 = 146_097;
        let days = self.0 / DAY + 719_468;
        let of_era = days % ERA;
        let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / (ERA - 1)) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * march + 2) / 5 + 1;
        let month = if march < 10 { march + 3 } else { march - 9 };
        let year = year + days / ERA * 400 + u64::from(month <= 2);
        let of_day = self.0 % DAY;
        year.fmt(f)?;
        for (before, number) in [
            ('-', month),
            ('-', day),
            (' ', of_day / 3600),
            (':', of_day / 60 % 60),
            (':', of_day % 60),
        ] {
            f.write_char(before)?;
            if number < 10 {
                f.write_char('0')?;
            }
            number.fmt(f)?;
        }
        f.write_str(" UTC")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::text::to_string;

    #[test]
    fn dates_are_those_of_date() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (951_868_800, "2000-03-01 00:00:00 UTC"),
            (1_798_761_599, "2026-12-31 23:59:59 UTC"),
            (1_835_395_200, "2028-02-29 00:00:00 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
        ] {
            assert_eq!(to_string(&Moment(seconds)), text);
        }
    }
}
