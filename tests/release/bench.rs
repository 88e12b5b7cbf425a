//! The table and the chart of `make bench`, from the figures that its other parts have
//! kept: a part of docs/development.md, and docs/bench.svg.

use crate::figures;
use crate::release;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The marks around the generated part of the document.
const BEGIN: &str = "<!-- made by make bench -->\n";
const END: &str = "<!-- end of what make bench makes -->\n";

/// All kept figures. If one was kept twice, the last one counts.
struct Figures(HashMap<(String, String), String>);

impl Figures {
    fn read() -> Self {
        let text = fs::read_to_string(figures::file()).expect("make bench");
        let line = |line: &str| {
            let mut fields = line.split('\t').map(str::to_string);
            let mut next = || fields.next().expect("three fields");
            ((next(), next()), next())
        };
        Self(text.lines().map(line).collect())
    }

    fn text(&self, of: &str, figure: &str) -> &str {
        let found = self.0.get(&(of.to_string(), figure.to_string()));
        found.unwrap_or_else(|| panic!("{of} has no {figure}"))
    }

    /// Whether the figures include boots.
    fn have_boots(&self) -> bool {
        self.0.keys().any(|(of, _)| of == "boot")
    }

    fn number(&self, of: &str, figure: &str) -> f64 {
        self.text(of, figure).parse().unwrap()
    }
}

/// Scripts, and the program on the same context.
const SCRIPTS: [(&str, &str, &str); 2] = [
    (
        "recipe",
        "StratusLab's script, which this replaces",
        "onecontext beside the recipe",
    ),
    (
        "ip -batch",
        "a shell with `ip -batch`",
        "onecontext beside ip -batch",
    ),
];

/// The boots; the first is what the others are compared with.
const BOOTS: [&str; 6] = [
    "everything baked in",
    "everything baked in, onecontext finds no disk",
    "onecontext",
    "cloud-init",
    "an SSH server in the initramfs, everything baked in",
    "the same, the early stage finds no disk",
];

/// Generators, and the kinds of initramfs that they make.
const GROWTH: [(&str, &str, &str); 6] = [
    ("initramfs-tools", "apart", "drivers apart"),
    ("initramfs-tools", "most", "for any host"),
    ("initramfs-tools", "few", "for a single host"),
    ("dracut", "apart", "drivers apart"),
    ("dracut", "most", "for any host"),
    ("dracut", "few", "for a single host"),
];

#[test]
#[ignore = "a part of make bench"]
fn table_and_chart() {
    let figures = Figures::read();
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = table(&figures);
    println!("{table}");
    let document = top.join("docs/development.md");
    let text = fs::read_to_string(&document).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("a beginning");
    let (_, after) = rest.split_once(END).expect("an end");
    fs::write(&document, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
    fs::write(top.join("docs/bench.svg"), chart(&figures)).unwrap();
}

fn table(figures: &Figures) -> String {
    let mut text = String::new();
    writeln!(text, "{}\n", conditions(figures)).unwrap();
    text += "| two NICs and a key, in a namespace | CPU time | system calls | address space \
        | instructions |\n|---|---|---|---|---|\n";
    for (of, name, ours) in SCRIPTS {
        let figure = |of: &str, figure: &str| figures.number(of, figure);
        let row = |of: &str| {
            format!(
                "{:.2} ms | {} | {} KiB | {:.2} million",
                figure(of, "CPU time"),
                figure(of, "system calls"),
                figure(of, "memory"),
                figure(of, "instructions") / 1e6
            )
        };
        let ratio = |name: &str| format!("{:.1}", figure(of, name) / figure(ours, name));
        let ratios = ["CPU time", "system calls", "memory", "instructions"].map(ratio);
        writeln!(text, "| {name} | {} |", row(of)).unwrap();
        writeln!(text, "| onecontext, the same context | {} |", row(ours)).unwrap();
        writeln!(text, "| ratio | {} |", ratios.join(" | ")).unwrap();
    }
    if figures.have_boots() {
        text += &table_of_boots(figures);
    }
    text += "\n| compressed initramfs, bytes | without | with | growth |\n|---|---|---|---|\n";
    for (generator, kind, what) in GROWTH {
        let [before, after] =
            ["before", "after"].map(|when| figures.number(generator, &format!("{kind} {when}")));
        let growth = after - before;
        writeln!(
            text,
            "| {generator}, {what} | {before} | {after} | {growth} |"
        )
        .unwrap();
    }
    text.push('\n');
    text
}

fn table_of_boots(figures: &Figures) -> String {
    let mut text =
        String::from("\n| power-on to login, emulated | time | ratio |\n|---|---|---|\n");
    let login = |of: &str| figures.number(of, "power-on to login");
    for of in BOOTS {
        let ratio = login(of) / login(BOOTS[0]);
        writeln!(text, "| {of} | {:.1} s | {ratio:.2} |", login(of)).unwrap();
    }
    text
}

/// Date, versions and hardware of the run.
fn conditions(figures: &Figures) -> String {
    let of = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_string()
    };
    let package = |name: &str| {
        let version = of("dpkg-query", &["-W", "-f", "${Version}", name]);
        format!("{name} {version}")
    };
    let tools = ["bash", "iproute2", "net-tools"].map(package);
    let mut text = format!(
        "On {}, with onecontext {}, {} bytes in the initramfs, {}, Linux {}, {} cores that \
         other work shares. Of each command the cheapest of 10 runs.",
        of("date", &["-u", "+%F"]),
        env!("CARGO_PKG_VERSION"),
        fs::metadata(release::initramfs()).unwrap().len(),
        tools.join(", "),
        // Without the suffix of the kernel's builder.
        of("uname", &["-r"]).split('-').next().unwrap(),
        std::thread::available_parallelism().unwrap(),
    );
    if figures.have_boots() {
        let [version, boots] = [("cloud-init", "version"), ("boot", "boots")]
            .map(|(of, figure)| figures.text(of, figure));
        write!(
            text,
            " {}, cloud-init {version}; of each boot the fastest of {boots}.",
            package("qemu-system-x86")
        )
        .unwrap();
    } else {
        text += " No machine was booted (`BENCH_BOOTS=0`).";
    }
    text
}

/// Bar charts, for light and dark pages.
fn chart(figures: &Figures) -> String {
    let mut text = String::from(HEAD);
    let mut y = 30;
    if figures.have_boots() {
        let login = |of: &str| figures.number(of, "power-on to login");
        let boots = BOOTS.map(|of| (of.to_string(), login(of)));
        panel(
            "power-on to login, emulated, seconds",
            &boots,
            &mut y,
            &mut text,
        );
    }
    let mut costs = Vec::new();
    for (of, name, ours) in SCRIPTS {
        costs.push((name.replace('`', ""), figures.number(of, "CPU time")));
        let name = "onecontext, the same context".to_string();
        costs.push((name, figures.number(ours, "CPU time")));
    }
    panel(
        "CPU time, two NICs and a key, milliseconds",
        &costs,
        &mut y,
        &mut text,
    );
    text += "</svg>\n";
    text.replace("HEIGHT", &(y - 30).to_string())
}

const HEAD: &str = r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 HEIGHT" role="img"
     aria-labelledby="title" font-family="sans-serif" font-size="13">
  <title id="title">onecontext beside others</title>
  <style>
    text { fill: #1f2328 }
    .head { font-weight: bold }
    .bar { fill: #afb8c1 }
    .ours { fill: #0969da }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 }
      .bar { fill: #484f58 }
      .ours { fill: #58a6ff }
    }
  </style>
"#;

/// One bar a row; the longest takes the whole width.
fn panel(title: &str, rows: &[(String, f64)], y: &mut i32, text: &mut String) {
    const LEFT: i32 = 340;
    const LARGEST_WIDTH: f64 = 350.0;
    let longest = rows.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    writeln!(
        text,
        r#"  <text class="head" x="20" y="{y}">{title}</text>"#
    )
    .unwrap();
    *y += 12;
    for (name, value) in rows {
        let class = match name.starts_with("onecontext") {
            true => "ours",
            false => "bar",
        };
        let width = (value / longest * LARGEST_WIDTH).max(1.0);
        let digits = if *value < 10.0 { 2 } else { 1 };
        let (middle, end) = (*y + 16, f64::from(LEFT) + width + 8.0);
        writeln!(
            text,
            r#"  <text x="{}" y="{middle}" text-anchor="end">{name}</text>
  <rect class="{class}" x="{LEFT}" y="{}" width="{width:.1}" height="16"/>
  <text x="{end:.1}" y="{middle}">{value:.digits$}</text>"#,
            LEFT - 10,
            *y + 3
        )
        .unwrap();
        *y += 26;
    }
    *y += 36;
}
