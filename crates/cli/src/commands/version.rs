//! `fastgpu version`: this program's, and the server's where one answers.

use fastgpu_client::API;
use serde::Serialize;

use crate::connect;
use crate::failure::Failure;
use crate::output::Output;
use crate::settings::Settings;

#[derive(Serialize)]
struct Versions {
    program: &'static str,
    api: &'static str,
    server: Option<Server>,
}

#[derive(Serialize)]
struct Server {
    url: String,
    version: String,
    api: String,
}

pub(super) async fn run(settings: &Settings, out: &Output) -> Result<u8, Failure> {
    let server = match connect::client(settings) {
        Err(_) => None,
        Ok(client) => client.version().await.ok().map(|found| Server {
            url: client.url().to_owned(),
            version: found.version,
            api: found.api,
        }),
    };
    let versions = Versions { program: env!("CARGO_PKG_VERSION"), api: API, server };
    out.one(&versions, versions.program, |out| {
        out.data(&format!("fastgpu {} (API {API})", versions.program))?;
        match &versions.server {
            Some(server) => {
                out.data(&format!("server  {} (API {}) at {}", server.version, server.api, server.url))
            }
            None => out.data("server  none answers"),
        }
    })?;
    Ok(0)
}
