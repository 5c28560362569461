use fastgpu_core::ids::DEFAULT_PROJECT;

use super::*;
use crate::parse::parse;
use crate::problem::Problem;

fn identity() -> Identity {
    Identity { project: DEFAULT_PROJECT.into(), owner: "ada".into() }
}

fn submit(json: &str) -> Result<Submit, Vec<FieldError>> {
    parse::<TaskSpec>(json.as_bytes()).expect("the test's JSON has the right types").into_submit(&identity())
}

fn refusals(json: &str) -> Vec<String> {
    let errors = submit(json).expect_err(json);
    errors.into_iter().map(|error| format!("{} {}", error.pointer, error.detail)).collect()
}

fn problem(json: &str) -> Problem {
    *parse::<TaskSpec>(json.as_bytes()).expect_err(json)
}

#[test]
fn a_request_may_be_as_short_as_its_command() {
    let submit = submit(r#"{"command":["true"]}"#).unwrap();
    assert_eq!(submit.terms.ask.devices, DeviceCount::exactly(1));
    assert_eq!(submit.terms.ask.share, Share::Milli(GpuMilli::FULL));
    assert_eq!(submit.terms.limits.stop_grace, STOP_GRACE_DEFAULT);
    assert_eq!((&*submit.project, &*submit.owner), ("default", "ada"));
}

#[test]
fn shares_and_caps_are_read_in_every_way_they_can_be_written() {
    let half = GpuMilli::new(500).unwrap();
    let cases = [
        (r#""gpu":0.5"#, 1, Share::Milli(half)),
        (r#""gpu":"0.5""#, 1, Share::Milli(half)),
        (r#""gpu":8"#, 8, Share::Milli(GpuMilli::FULL)),
        (r#""gpu":"none""#, 0, Share::Milli(GpuMilli::ZERO)),
        (r#""gpu":0.5,"gpu_memory":"12GiB""#, 1, Share::Both(half, MemoryMib(12_288))),
        (r#""gpu_memory":4096"#, 1, Share::Cap(MemoryMib(4_096))),
        (r#""gpu":{"count":2,"share":0.5}"#, 2, Share::Milli(half)),
        (r#""gpu":{"memory":"1G"}"#, 1, Share::Cap(MemoryMib(1_024))),
        (r#""gpu":{"count":2},"gpu_memory":"1G""#, 2, Share::Cap(MemoryMib(1_024))),
        (r#""gpu":null"#, 1, Share::Milli(GpuMilli::FULL)),
    ];
    for (text, count, share) in cases {
        let submit = submit(&format!(r#"{{"command":["true"],{text}}}"#)).unwrap();
        assert_eq!(
            (submit.terms.ask.devices, submit.terms.ask.share),
            (DeviceCount::exactly(count), share),
            "{text}"
        );
    }
}

#[test]
fn each_wrong_value_has_its_own_sentence() {
    let refused = |rest: &str| refusals(&format!(r#"{{"command":["true"],{rest}}}"#)).join(" | ");
    let cases = [
        (r#""gpu":0"#, "/gpu 0 GPUs is not a share; for a task without a GPU write `\"none\"`"),
        (r#""gpu":-1"#, "/gpu -1 GPUs is less than nothing"),
        (r#""gpu":1.5"#, "/gpu 1.5 GPUs is neither a share of one GPU nor a whole number; write 1 or 2"),
        (r#""gpu":"NaN""#, "/gpu NaN is not a number of GPUs"),
        (r#""gpu":"many""#, "/gpu `many` is not a number of GPUs"),
        (r#""gpu":{"count":0}"#, "/gpu/count 0 GPUs is out of range"),
        (r#""gpu":{"count":3,"max":2}"#, "/gpu/max at most 2 GPUs is less than at least 3"),
        (r#""gpu":{"share":1.5}"#, "/gpu/share 1.5 is not a share of one GPU"),
        (r#""gpu":{"memory":1},"gpu_memory":1"#, "/gpu_memory is said twice"),
        (r#""gpu":"none","gpu_memory":1"#, "/gpu_memory a task without a GPU has no GPU memory"),
        (r#""gpu_memory":"lots""#, "/gpu_memory `lots` is not an amount of memory"),
        (r#""cpu":-2"#, "/cpu -2 is not a number of cores"),
        (r#""name":"a\u0007b""#, "/name the character `\\u{7}` is not allowed"),
        (r#""name":"../../etc""#, "/name `..` is not allowed"),
        (r#""name":"""#, "/name the name is empty"),
        (r#""priority":5000"#, "/priority 5000 is out of range"),
        (r#""time_limit":"90""#, "/time_limit `90` has no unit of time"),
        (r#""time_limit":0"#, "/time_limit 0 ms is not a span"),
        (r#""stop_grace":"2h""#, "/stop_grace 2 h is too long"),
        (r#""retry":101"#, "/retry 101 is not a number of retries"),
        (r#""retry":{"max":0,"backoff":"soon"}"#, "/retry/backoff `soon` is not a time"),
        (r#""expected_duration":"soon""#, "/expected_duration `soon` is not a time"),
        (r#""queue":"a\u0007""#, "/queue the character `\\u{7}` is not allowed"),
        (r#""labels":["rack"]"#, "/labels/0 `rack` is no label: there is no `=` in it"),
        (r#""class":"vip""#, "/class there is no class `vip`"),
        (r#""isolation":"none""#, "/isolation there is no isolation"),
        (r#""working_dir":"data""#, "/working_dir `data` is not an absolute path"),
        (r#""env":{"1A":"x"}"#, "/env/1A a variable's name"),
        (r#""env":{"A":"x\u0000"}"#, "/env/A a NUL character"),
        (r#""nodes":["n\n"]"#, "/nodes/0 the character `\\n` is not allowed"),
    ];
    for (json, expected) in cases {
        let said = refused(json);
        assert!(said.starts_with(expected), "{json}\n  said: {said}");
    }
    assert!(refusals(r#"{"command":[]}"#)[0].starts_with("/command the command is empty"));
    assert!(refusals(r#"{"command":["a\u0000"]}"#)[0].starts_with("/command/0 a NUL"));
    assert!(refusals("{}")[0].starts_with("/time_limit a task without a `command` is a reservation"));
    let long = format!(r#"{{"command":["{}"]}}"#, "x".repeat(COMMAND_BYTES_MAX));
    assert!(refusals(&long)[0].starts_with("/command the command has 65537 bytes"));
    let large = format!(r#"{{"command":["x"],"env":{{"A":"{}"}}}}"#, "x".repeat(ENV_BYTES_MAX));
    assert!(refusals(&large)[0].starts_with("/env the environment has"));
}

#[test]
fn a_task_cannot_be_told_otherwise_who_it_is_and_what_it_was_granted() {
    for name in ["FASTGPU_TASK_ID", "FASTGPU_", "CUDA_VISIBLE_DEVICES"] {
        let said = refusals(&format!(r#"{{"command":["x"],"env":{{"{name}":"x"}}}}"#)).join("\n");
        assert!(said.starts_with(&format!("/env/{name} ")) && said.contains("set by FastGPU"), "{said}");
    }
    for name in ["FASTGPU", "MY_FASTGPU_X", "CUDA_VISIBLE_DEVICES_OF_MINE", "CUDA_DEVICE_ORDER"] {
        submit(&format!(r#"{{"command":["x"],"env":{{"{name}":"x"}}}}"#)).unwrap();
    }
}

#[test]
fn what_the_kernel_would_not_pass_to_a_program_is_refused_before_it_is_tried() {
    let with = |bytes: usize| {
        let value = "x".repeat(bytes - "A=".len());
        format!(r#"{{"command":["x"],"env":{{"A":"{value}"}}}}"#)
    };
    submit(&with(VARIABLE_BYTES_MAX)).unwrap();
    assert_eq!(
        refusals(&with(VARIABLE_BYTES_MAX + 1)),
        ["/env/A the variable has 131072 bytes; the kernel takes at most 131071: use a file"]
    );
    // One argument may have as much, and all together have less.
    const { assert!(COMMAND_BYTES_MAX <= VARIABLE_BYTES_MAX) };
}

#[test]
fn every_wrong_part_is_named_at_once() {
    assert_eq!(refusals(r#"{"gpu":0,"priority":9999,"name":"x;y"}"#).len(), 4);
}

#[test]
fn wrong_keys_and_types_are_named_by_pointer_with_the_nearest_word() {
    let json =
        r#"{"comand":["x"],"gpu":{"cuont":2},"name":"a","name":"b","env":{"A":"1","A":"2","B":3},"cpu":"4"}"#;
    let errors: Vec<_> =
        problem(json).errors.into_iter().map(|e| format!("{} {}", e.pointer, e.detail)).collect();
    assert_eq!(
        errors,
        [
            "/comand there is no key `comand`; did you mean `command`?",
            "/gpu/cuont there is no key `cuont`; did you mean `count`?",
            "/name the key `name` is given twice; give it once",
            "/env/A the name `A` is given twice; give it once",
            "/env/B must be a text in quotes, not this number",
            "/cpu must be a number of cores, not a text",
        ]
    );
    let batch = parse::<crate::spec::BatchSpec>(br#"{"tasks":[{"command":["x"]},{"gpuu":1}]}"#).unwrap_err();
    assert_eq!(batch.errors[0].pointer, "/tasks/1/gpuu");
    let listed = parse::<crate::spec::BatchSpec>(br#"{"tasks":[["name",["x"]]]}"#).unwrap_err();
    assert_eq!(listed.detail, "`/tasks/0`: must be an object");
    assert_eq!(problem("[]").detail, "must be a JSON object, not a list");
}

#[test]
fn what_is_not_json_is_said_to_be_so() {
    assert_eq!(problem("").code, "bad_json");
    assert_eq!(
        problem(r#"{"gpu":NaN}"#).hint.as_deref(),
        Some("JSON knows neither NaN nor Infinity: write a number")
    );
    assert_eq!(problem(r#"{"command":["x"]"#).status, 400);
    let error = parse::<TaskSpec>(b"{\"name\":\"\xff\"}").unwrap_err();
    assert_eq!(error.detail, "the body is not UTF-8");
    for open in ["[", r#"{"gpu":"#] {
        let deep = open.repeat(10_000);
        assert_eq!(problem(&deep).detail, "the body is nested deeper than 64 levels");
    }
}

#[test]
fn equal_specifications_have_equal_hashes_however_they_were_written() {
    let one = submit(r#"{"command":["a","b"],"env":{"B":"2","A":"1"}}"#).unwrap();
    let two = submit(r#"{ "env": {"A":"1", "B":"2"}, "command": ["a", "b"], "priority": 3 }"#).unwrap();
    let three = submit(r#"{"command":["ab"],"env":{"B":"2","A":"1"}}"#).unwrap();
    assert_eq!(one.spec_hash, two.spec_hash);
    assert_ne!(one.spec_hash, three.spec_hash);
}

#[test]
fn a_spec_is_written_as_it_is_read() {
    let json = r#"{"name":"n","command":["a"],"gpu":{"count":2,"share":0.5},"memory":"4GiB","time_limit":1000,"retry":3}"#;
    let spec: TaskSpec = parse(json.as_bytes()).unwrap();
    assert_eq!(serde_json::to_string(&spec).unwrap(), json);
}

#[test]
fn the_articles_request_becomes_a_reservation() {
    let read = |json: &str| parse::<SubmitTask>(json.as_bytes()).unwrap().into_submit(&identity());
    let submit =
        read(r#"{"user_id":"user123","task_name":"train","resource_count":2,"execute_time":0.5}"#).unwrap();
    assert_eq!(submit.terms.limits.run, Some(Millis(1_800_000)));
    assert_eq!((&*submit.owner, submit.terms.name.as_deref()), ("user123", Some("train")));
    assert!(submit.spec.command.is_empty());
    assert_eq!(&*read(r#"{"user_id":7,"resource_count":"0.5","execute_time":"2"}"#).unwrap().owner, "7");
    let errors = read(r#"{"task_name":"\u0007","resource_count":0,"execute_time":-1}"#).unwrap_err();
    let pointers: Vec<_> = errors.iter().map(|error| error.pointer.as_str()).collect();
    assert_eq!(pointers, ["/execute_time", "/task_name", "/resource_count"]);
    assert_eq!(read("{}").unwrap_err()[0].pointer, "/execute_time");
}

#[test]
fn a_patch_says_at_least_one_thing() {
    let patch = |json: &str| parse::<TaskPatch>(json.as_bytes()).unwrap().into_update();
    assert_eq!(patch(r#"{"priority":7}"#).unwrap().priority, Some(7));
    assert_eq!(patch("{}").unwrap_err().len(), 1);
    assert_eq!(patch(r#"{"gpu":2}"#).unwrap_err()[0].pointer, "/gpu");
}

/// A number below `below`, by SplitMix64, so that a failure can be repeated from its seed.
fn random(seed: u64, nth: u64, below: usize) -> usize {
    let mut x = seed.wrapping_add(nth.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^= x >> 31;
    usize::try_from(x % below as u64).unwrap()
}

#[test]
fn no_body_however_damaged_is_more_than_refused_in_words() {
    let whole = br#"{"name":"n","command":["a","b"],"gpu":{"count":2,"share":0.5,"memory":"1G"},"env":{"A":"1"},"cpu":1.5,"retry":{"max":3,"backoff":"1s"},"time_limit":"1h30m","nodes":["x"],"held":true,"priority":-3}"#;
    let pieces: [&[u8]; 12] = [
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b"\"",
        b"\\u0000",
        b"-",
        b"1e999",
        b"null",
        b"\xff",
        b"18446744073709551616",
    ];
    for seed in 0..20_000 {
        let mut body = whole.to_vec();
        for nth in 0..=random(seed, 0, 4) as u64 {
            let at = random(seed, 10 + nth, body.len() + 1);
            let piece = pieces[random(seed, 20 + nth, pieces.len())];
            let end = (at + random(seed, 30 + nth, 4)).min(body.len());
            body.splice(at..end, piece.iter().copied());
        }
        match parse::<TaskSpec>(&body).map(|spec| spec.into_submit(&identity())) {
            Ok(Ok(submit)) => {
                assert!(submit.terms.ask.devices.min <= submit.terms.ask.devices.max, "seed {seed}");
                assert!(submit.terms.name.is_none_or(|name| check_name(&name).is_ok()), "seed {seed}");
            }
            Ok(Err(errors)) => assert!(errors.iter().all(|error| !error.detail.is_empty()), "seed {seed}"),
            Err(problem) => assert!([400, 422].contains(&problem.status), "seed {seed}: {problem:?}"),
        }
    }
}
