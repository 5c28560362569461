//! Shows, checks and makes the ledger of a software GPU: what tests ask after each program.
//!
//! `softgpu-ledger FOLDER show`, `softgpu-ledger FOLDER check`, `softgpu-ledger FOLDER create 8xH100`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is a command-line tool")]

use std::path::Path;
use std::process::ExitCode;

use fastgpu_softgpu::ledger::{ClockMode, Creation, Ledger, processes::text};

const USAGE: &str = "usage: softgpu-ledger FOLDER show | check | create SPEC [test|manual] | clock NANOSECONDS \
                     | xid DEVICE NUMBER";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// True if all is well.
fn run(words: &[&str]) -> Result<bool, Box<dyn std::error::Error>> {
    match words {
        [folder, "show"] => Ok(show(Ledger::open(Path::new(folder))?)),
        [folder, "check"] => Ok(check(Ledger::open(Path::new(folder))?)),
        [folder, "create", spec, rest @ ..] => {
            let clock = match rest.first() {
                Some(&"test") => ClockMode::Test,
                Some(&"manual") => ClockMode::Manual,
                _ => ClockMode::Machine,
            };
            let spec = spec.parse().map_err(|error| format!("{error}"))?;
            let creation = Creation { clock, ..Creation::of(&spec) };
            Ledger::open_or_create(Path::new(folder), &creation)?;
            Ok(true)
        }
        [folder, "clock", to] => {
            Ledger::open(Path::new(folder))?.move_clock(to.parse()?);
            Ok(true)
        }
        [folder, "xid", device, number] => {
            let ledger = Ledger::open(Path::new(folder))?;
            let index = device.parse().ok().filter(|index| *index < ledger.device_count());
            ledger.device(index.ok_or("there is no such device")?).report_xid(number.parse()?, 0);
            ledger.ring_fault();
            Ok(true)
        }
        _ => Err(USAGE.into()),
    }
}

/// Prints everything as `name value` lines.
fn show(ledger: Ledger) -> bool {
    println!("now_ns {}", ledger.now_ns());
    for (slot, process) in ledger.processes() {
        println!("process {} slot {slot} name {}", process.pid, text(&process.name));
    }
    for index in 0..ledger.device_count() {
        let device = ledger.device(index);
        println!("device {index} name {}", text(&device.facts.name));
        println!("device {index} used_bytes {}", device.memory_used_bytes);
        println!("device {index} capacity_bytes {}", device.facts.capacity_bytes());
        println!("device {index} busy_ns {}", device.schedule.busy_ns);
        println!("device {index} switches {}", device.schedule.switches);
        println!("device {index} xids {}", device.faults.xid_count);
        for (slot, account) in device.accounts.iter().enumerate().filter(|(_, account)| account.total() > 0) {
            println!("device {index} slot {slot} bytes {:?}", account.bytes);
        }
    }
    for (name, calls) in ledger.registry().counted() {
        println!("unsupported {name} {calls}");
    }
    true
}

/// Prints what is wrong: memory that nobody alive holds, sums that do not agree, calls of what is not there.
fn check(ledger: Ledger) -> bool {
    let mut well = true;
    let mut wrong = |what: String| {
        println!("{what}");
        well = false;
    };
    let live = ledger.processes().len();
    for index in 0..ledger.device_count() {
        let device = ledger.device(index);
        if !device.is_sound() {
            wrong(format!("device {index} unsound"));
        }
        if live == 0 && device.memory_used_bytes > 0 {
            wrong(format!("device {index} leaked_bytes {}", device.memory_used_bytes));
        }
    }
    if live == 0 && ledger.events_held() > 0 {
        wrong(format!("leaked_events {}", ledger.events_held()));
    }
    if live == 0 && ledger.teams_held() > 0 {
        wrong(format!("leaked_teams {}", ledger.teams_held()));
    }
    for (name, calls) in ledger.registry().counted() {
        wrong(format!("unsupported {name} {calls}"));
    }
    well
}
