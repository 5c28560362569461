//! `fastgpu nodes`: the machines, and taking them out of service.

use fastgpu_api::view::NodeView;
use fastgpu_client::Client;
use fastgpu_core::units::{CpuMilli, MemoryMib};

use super::watched;
use crate::args::{NodesArgs, NodesVerb};
use crate::connect::connect;
use crate::failure::Failure;
use crate::output::{Output, Tone};
use crate::settings::Settings;
use crate::table::{Cell, Table};

pub(super) async fn run(flags: &NodesArgs, settings: &Settings, out: &Output) -> Result<u8, Failure> {
    let client = connect(settings).await?;
    let (node, drain) = match &flags.verb {
        Some(NodesVerb::Drain { node }) => (node, true),
        Some(NodesVerb::Resume { node }) => (node, false),
        None => {
            return watched(flags.list.watch, out, || async {
                let found = client.nodes().await?;
                out.list(&found, &found.items, |node| node.id.clone(), |out| table(&found.items, out))
            })
            .await;
        }
    };
    let id = node_id(&client, node).await?;
    client.drain(&id, drain).await?;
    out.say(&if drain {
        format!("{id} takes no new tasks; what runs there goes on. `fastgpu nodes resume {id}` undoes it")
    } else {
        format!("{id} takes tasks again")
    });
    Ok(0)
}

async fn node_id(client: &Client, text: &str) -> Result<String, Failure> {
    let nodes = client.nodes().await?.items;
    let found: Vec<_> = nodes.iter().filter(|node| node.id == text || node.hostname == text).collect();
    match found.as_slice() {
        [node] => Ok(node.id.clone()),
        [] => Err(Failure::new(format!("there is no node `{text}`")).help("`fastgpu nodes` lists the nodes")),
        _ => Err(Failure::usage(format!("`{text}` is the name of {} nodes", found.len()))
            .help("name one of them by its id, as `fastgpu nodes` shows it")),
    }
}

/// `8`, or `7 of 8` where one of them is out of service.
fn gpus(node: &NodeView, out: &Output) -> Cell {
    let count = match node.gpus_usable {
        usable if usable == node.gpus => node.gpus.to_string(),
        usable => format!("{usable} of {}", node.gpus),
    };
    let text = match (node.simulated, node.gpus) {
        (true, 1) => format!("{count} software GPU"),
        (true, _) => format!("{count} software GPUs"),
        (false, _) => count,
    };
    if node.gpus_usable == node.gpus {
        return text.into();
    }
    Cell::painted(&text, |text| out.paint(Tone::Bad, text))
}

fn table(nodes: &[NodeView], out: &Output) -> Table {
    let mut table =
        Table::new(&["ID", "NAME", "STATE", "GPUS", "CPU FREE", "MEMORY FREE", "LABELS", "LACKS"])
            .or_say("no node has said hello yet");
    for node in nodes {
        let lacks: Vec<_> = node
            .abilities
            .iter()
            .filter(|ability| !ability.works)
            .map(|ability| ability.name.as_str())
            .collect();
        let tone = if node.state == "ready" { Tone::Good } else { Tone::Busy };
        table.row(vec![
            node.id.as_str().into(),
            node.hostname.as_str().into(),
            Cell::painted(&node.state, |text| out.paint(tone, text)),
            gpus(node, out),
            format!("{} of {}", CpuMilli(node.cpu_free_milli), CpuMilli(node.cpu_milli)).into(),
            format!("{} of {}", gib(node.memory_free_mib), gib(node.memory_mib)).into(),
            node.labels.join(" ").into(),
            lacks.join(", ").into(),
        ]);
    }
    table
}

/// Host memory in whole GiB: nobody counts a machine's memory in MiB.
fn gib(mib: u64) -> String {
    if mib < 10 * 1_024 { MemoryMib(mib).to_string() } else { format!("{} GiB", mib / 1_024) }
}
