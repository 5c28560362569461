//! What the client does when servers and connections misbehave, against a server that follows a script.
#![expect(clippy::unwrap_used, reason = "a script that goes wrong should say where")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fastgpu_api::spec::TaskSpec;
use fastgpu_api::view::CancelRequest;
use fastgpu_client::logs::{LogItem, LogQuery};
use fastgpu_client::{Client, ClientError, Key};

/// Answers one connection after the other, each with the next piece of the script, and closes it. Returns
/// its address and the heads of the requests it got.
fn scripted(answers: &[&str]) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let heads = Arc::new(Mutex::new(Vec::new()));
    let answers: Vec<String> = answers.iter().map(|&answer| answer.to_owned()).collect();
    let seen = heads.clone();
    std::thread::spawn(move || {
        for answer in answers {
            let Ok((stream, _)) = listener.accept() else { return };
            let mut reader = BufReader::new(stream);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap_or(0) > 0 {}
            let head = head.to_lowercase();
            let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
            let mut body = vec![0; length.map_or(0, |text| text.parse().unwrap())];
            let _ = reader.read_exact(&mut body);
            seen.lock().unwrap().push(head);
            let _ = reader.get_mut().write_all(answer.as_bytes());
        }
    });
    (url, heads)
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
}

const BUSY: &str = r#"{"code":"overloaded","status":503,"title":"","detail":"the server is busy","type":""}"#;

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

#[test]
fn a_submit_is_repeated_under_the_same_key_until_it_is_answered() {
    let task = r#"{"id":"t-0000000000001","name":null,"project":"default","owner":"ann","state":"queued",
        "reason":null,"priority":0,"class":"standard","attempt":0,"retries":{"user":0,"infrastructure":0},
        "exit_code":null,"signal":null,"failure":null,"reservation":false,"gpu":{"count_min":1,"count_max":1},
        "cpu_milli":0,"memory_mib":0,"grant":null,"submitted_at":"2026-01-01T00:00:00Z","started_at":null,
        "ended_at":null,"time_limit_ms":null,"queue_timeout_ms":null,"stop_grace_ms":0,"held":false,"revision":1,
        "something_new":{"a":1}}"#;
    // Busy, then a connection that breaks before the answer, then the answer.
    let busy = answer("503 Service Unavailable", "retry-after: 1\r\n", BUSY);
    let (url, heads) = scripted(&[&busy, "", &answer("201 Created", "", task)]);
    let began = Instant::now();
    let client = Client::new(&url, Some("fgp_secret")).unwrap();
    let made = block_on(client.submit(&TaskSpec::default(), &Key::new("k-1").unwrap())).unwrap();
    assert_eq!(made.id, "t-0000000000001");
    assert!(began.elapsed() >= Duration::from_secs(1), "`Retry-After` is obeyed");
    let heads = heads.lock().unwrap();
    assert_eq!(heads.len(), 3);
    assert!(heads.iter().all(|head| head.contains("idempotency-key: k-1")), "{heads:?}");
}

#[test]
fn a_write_without_a_key_is_sent_once() {
    let busy = answer("503 Service Unavailable", "", BUSY);
    let (url, heads) = scripted(&[&busy, &busy]);
    let client = Client::new(&url, None).unwrap();
    let refused = block_on(client.create_token(&fastgpu_api::view::TokenRequest::default())).unwrap_err();
    assert!(refused.has_code("overloaded"), "{refused:?}");
    assert_eq!(heads.lock().unwrap().len(), 1);
}

#[test]
fn a_server_that_asks_for_a_long_pause_is_not_waited_for() {
    let (url, heads) = scripted(&[&answer("503 Service Unavailable", "retry-after: 3600\r\n", BUSY)]);
    let client = Client::new(&url, None).unwrap();
    let began = Instant::now();
    block_on(client.cancel("t-0000000000001", &CancelRequest::default())).unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(heads.lock().unwrap().len(), 1);
}

#[test]
fn nobody_there_is_said_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = block_on(Client::new(&url, None).unwrap().version()).unwrap_err();
    assert!(matches!(&error, ClientError::Unreachable { why, .. } if why.contains("refused")), "{error:?}");
}

#[test]
fn the_token_goes_only_to_a_server_that_is_still_there_and_never_with_a_question_of_everybody() {
    let version = answer("200 OK", "", r#"{"version":"0.1.0","api":"v1"}"#);
    let (url, heads) = scripted(&[&version, &version]);
    let client = Client::new(&url, Some("fgp_secret")).unwrap().guarded(|| false);
    block_on(client.check_version()).unwrap();
    let began = Instant::now();
    let follow = LogQuery { follow: true, ..LogQuery::default() };
    for error in [
        block_on(client.tokens()).unwrap_err(),
        block_on(client.cancel("t-0000000000001", &CancelRequest::default())).unwrap_err(),
    ] {
        assert!(matches!(&error, ClientError::Unreachable { why, .. } if why == "it has ended"), "{error:?}");
    }
    assert!(began.elapsed() < Duration::from_secs(1), "it is said at once");
    let mut log = client.logs("t-0000000000001", follow);
    block_on(async { tokio::time::timeout(Duration::from_millis(300), log.next()).await }).ok();
    let sure = Client::new(&url, Some("fgp_secret")).unwrap().guarded(|| true);
    block_on(sure.check_version()).unwrap();
    let heads = heads.lock().unwrap();
    assert!(heads.len() == 2 && !heads.concat().contains("fgp_"), "{heads:?}");
}

#[test]
fn a_log_goes_on_where_the_connection_broke() {
    let line = |id: &str, text: &str| {
        format!(
            "id: {id}\nevent: log\ndata: {{\"at\":\"2026-01-01T00:00:00Z\",\"stream\":\"stdout\",\"text\":\"{text}\"}}\n\n"
        )
    };
    let stream = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    // The second event is cut in the middle; the second connection repeats it whole.
    let cut = line("1.20", "two");
    let first = format!("{stream}{}: still here\n\n{}", line("1.10", "one"), &cut[..cut.len() / 2]);
    let end = "event: end\ndata: {\"state\":\"succeeded\",\"exit_code\":0}\n\n";
    let second = format!("{stream}{}{end}", line("1.20", "two"));
    let busy = answer("503 Service Unavailable", "", BUSY);
    let (url, heads) = scripted(&[&first, &busy, &second]);
    let client = Client::new(&url, None).unwrap();
    let items = block_on(async {
        let mut log = client.logs("t-0000000000001", LogQuery { follow: true, ..LogQuery::default() });
        let mut items = Vec::new();
        while let Some(item) = log.next().await.unwrap() {
            items.push(match item {
                LogItem::Line(line) => line.text,
                LogItem::End(end) => end.state,
            });
        }
        items
    });
    assert_eq!(items, ["one", "two", "succeeded"]);
    let heads = heads.lock().unwrap();
    assert!(!heads[0].contains("last-event-id") && heads[0].contains("follow=true"), "{heads:?}");
    assert!(heads[2].contains("last-event-id: 1.10"), "{heads:?}");
}
