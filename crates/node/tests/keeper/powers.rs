//! What a task may not do to the node, whoever it runs as, and what root may still do.

use fastgpu_core::node::ExitKind;

use crate::Story;
use crate::support::{Node, Task};

pub(crate) const STORIES: &[Story] = &[
    ("a task cannot uncover the server's data", a_task_cannot_uncover_the_servers_data),
    ("a task cannot mount over what later tasks use", a_task_cannot_mount_over_what_later_tasks_use),
    ("a task cannot look through the eyes of others", a_task_cannot_look_through_the_eyes_of_others),
    ("a task of root is still root", a_task_of_root_is_still_root),
];

/// Runs `script`, in which `succeeded` must never be reached.
fn all_of_it_fails(node: &mut Node, script: &str) {
    let task = node.launch(Task::sh(script));
    assert_eq!(node.how(task), ExitKind::Code(0));
    let (stdout, stderr) = node.log(task);
    assert!(!stdout.contains("succeeded") && !stdout.contains("42"), "{stdout}{stderr}");
    assert!(stdout.ends_with("tried\n"), "{stdout}{stderr}");
    assert!(!stderr.contains("not found"), "the means to try are there: {stderr}");
}

fn a_task_cannot_uncover_the_servers_data() {
    let mut node = Node::new();
    let ability = node.ability("mount_namespace");
    if !ability.works {
        // Nothing is covered on this machine, and it says so.
        return assert!(ability.detail.contains("can see"), "{}", ability.detail);
    }
    if rustix::process::geteuid().is_root() {
        assert!(ability.detail.contains("they run as root, but cannot mount"), "{}", ability.detail);
    }
    let data = node.dir.parent().unwrap().display().to_string();
    let script = format!(
        "umount -l '{data}' && echo succeeded
         umount '{data}' && echo succeeded
         mount -t tmpfs none '{data}' && echo succeeded
         mount -o remount,rw '{data}' && echo succeeded
         unshare -m umount -l '{data}' && echo succeeded
         unshare -rm umount -l '{data}' && echo succeeded
         unshare -rm sh -c \"mkdir below && mount --bind '{data}/..' below && cat below/*/secret\"
         cat '{data}/secret'
         echo tried"
    );
    for _ in 0..2 {
        all_of_it_fails(&mut node, &script);
    }
}

fn a_task_cannot_mount_over_what_later_tasks_use() {
    let mut node = Node::new();
    let shared = tempfile::tempdir().unwrap();
    std::fs::set_permissions(shared.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::write(shared.path().join("mine"), "the machine's\n").unwrap();
    let script = format!(
        "mkdir other; echo forged > other/mine
         mount --bind other '{0}' && echo succeeded
         mount --bind other/mine '{0}/mine' && echo succeeded
         mount -t tmpfs none '{0}' && echo succeeded
         echo tried",
        shared.path().display()
    );
    all_of_it_fails(&mut node, &script);
    let task = node.launch(Task::sh(&format!("cat '{}/mine'", shared.path().display())));
    assert_eq!(node.how(task), ExitKind::Code(0));
    assert_eq!(node.stdout(task), "the machine's\n");
}

fn a_task_cannot_look_through_the_eyes_of_others() {
    let mut node = Node::new();
    let (keeper, server) = (node.keeper_pid(), std::process::id());
    let secret = node.dir.parent().unwrap().join("secret");
    // A server is out of reach in the view, or as root; else it must close itself, which this process does not.
    let is_apart = rustix::process::geteuid().is_root() || node.ability("mount_namespace").works;
    let server = if is_apart { server.to_string() } else { String::new() };
    // The server, its keeper, the task's own guardian, and the machine's first process.
    let script = format!(
        "for pid in {keeper} {server} $PPID 1; do
             [ -d /proc/$pid ] || echo no $pid >&2
             cat /proc/$pid/root'{0}' /proc/$pid/cwd'{0}' && echo succeeded
             nsenter -t $pid -m cat '{0}' && echo succeeded
             head -c 1 /proc/$pid/environ && echo succeeded
             head -c 1 /proc/$pid/mem 2>&1 | grep -q 'denied' || echo succeeded in opening memory
         done
         echo tried",
        secret.display()
    );
    all_of_it_fails(&mut node, &script);
}

fn a_task_of_root_is_still_root() {
    let mut node = Node::new();
    let theirs = tempfile::tempdir().unwrap();
    let root = rustix::process::geteuid().is_root();
    if root {
        std::os::unix::fs::chown(theirs.path(), Some(1), Some(1)).unwrap();
    }
    // Files of all owners, other accounts, one's own processes' memory; as a package manager and a debugger do.
    let script = if root {
        format!(
            "set -e; cd '{}'; echo new > file; chown 2:2 file; chmod 600 file; cat file; echo more >> file
             mkfifo pipe; cp -p file copy; stat -c %u copy; mkdir -m 700 box; chown 3:3 box; ls box
             setpriv --reuid 65534 --clear-groups id -u; sleep 100 & head -c 1 /proc/$!/environ >/dev/null
             kill $!; id -u; cat /etc/shadow >/dev/null; nice -n -5 true; echo done",
            theirs.path().display()
        )
    } else {
        "set -e; echo new > file; cat file; sleep 100 & head -c 1 /proc/$!/environ >/dev/null; kill $!
         grep CapPrm /proc/self/status; echo done"
            .to_owned()
    };
    let task = node.launch(Task::sh(&script));
    let how = node.how(task);
    let (stdout, stderr) = node.log(task);
    assert_eq!((how, &*stderr), (ExitKind::Code(0), ""), "{stdout}");
    let expected = if root { "new\n2\n65534\n0\ndone\n" } else { "new\nCapPrm:\t0000000000000000\ndone\n" };
    assert_eq!(stdout, expected);
}
