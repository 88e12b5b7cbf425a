//! Progress of a run of boots: which boots there are, how many are done, and about how
//! long the rest will take. It goes to this process's own stderr, since the test
//! harness captures what tests print.

use super::{running_test, top};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The estimate for a boot that no earlier run has timed: the mean of all boots under
/// emulation on two cores, two at a time, with the images that they needed.
const UNKNOWN: Duration = Duration::from_secs(110);

/// A machine that is started, or an image that is looked at: a line at the start, and
/// one at the end.
pub struct Boot {
    name: String,
    number: String,
    begun: Instant,
}

impl Boot {
    pub fn begin() -> Boot {
        let run = Run::of_this_process();
        let name = running_test();
        let index = run.boots.iter().position(|boot| *boot == name);
        let number = match index {
            Some(index) => format!("boot {} of {}", index + 1, run.boots.len()),
            None => "boot".to_string(),
        };
        let left = minutes(run.time_from(index.unwrap_or(0)));
        say(&format!("{number}: {name} starts; about {left} to go"));
        Boot {
            name,
            number,
            begun: Instant::now(),
        }
    }
}

impl Drop for Boot {
    fn drop(&mut self) {
        let seconds = self.begun.elapsed().as_secs();
        let Boot { name, number, .. } = self;
        if std::thread::panicking() {
            say(&format!("{number}: {name} FAILED after {seconds} s"));
            return;
        }
        say(&format!("{number}: {name} ends after {seconds} s"));
        let file = time_file(name);
        // For the next run's estimate. A failure to write it does not fail the boot.
        let _ = std::fs::create_dir_all(file.parent().unwrap());
        let _ = std::fs::write(file, seconds.to_string());
    }
}

/// The boots of this process, in the order of their start.
struct Run {
    boots: Vec<String>,
    at_a_time: u32,
}

impl Run {
    fn of_this_process() -> &'static Run {
        static RUN: OnceLock<Run> = OnceLock::new();
        RUN.get_or_init(|| {
            let run = Run {
                boots: tests_of_this_program(std::env::args().skip(1)),
                at_a_time: threads(),
            };
            say(&format!(
                "boots, {} at a time, about {} and some for new images: {}",
                run.at_a_time,
                minutes(run.time_from(0)),
                run.boots.join(", ")
            ));
            run
        })
    }

    /// The estimate for the boots from this one on.
    fn time_from(&self, index: usize) -> Duration {
        let boots = self.boots.iter().skip(index);
        boots.map(|name| expected(name)).sum::<Duration>() / self.at_a_time
    }
}

/// The names of the tests that this program runs with these arguments.
pub fn tests_of_this_program(arguments: impl Iterator<Item = String>) -> Vec<String> {
    let program = std::env::current_exe().unwrap();
    let list = super::run(Command::new(program).args(arguments).arg("--list"));
    let names = list.lines().filter_map(|line| line.strip_suffix(": test"));
    names.map(str::to_string).collect()
}

/// How many tests the harness runs at a time.
fn threads() -> u32 {
    let option = std::env::args().find_map(|argument| {
        let count = argument.strip_prefix("--test-threads=")?;
        count.parse().ok()
    });
    let processors = || std::thread::available_parallelism().map_or(1, |count| count.get() as u32);
    option.unwrap_or_else(processors).max(1)
}

/// How long a boot took the last time.
fn expected(name: &str) -> Duration {
    let text = std::fs::read_to_string(time_file(name)).unwrap_or_default();
    text.parse().map_or(UNKNOWN, Duration::from_secs)
}

fn time_file(name: &str) -> PathBuf {
    top()
        .join("target/boot-times")
        .join(name.replace("::", "-"))
}

fn minutes(time: Duration) -> String {
    match time.as_secs().div_ceil(60) {
        0 | 1 => "a minute".to_string(),
        count => format!("{count} minutes"),
    }
}

fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
