//! `fastgpu token`: who may do what.

use fastgpu_api::view::{TokenRequest, TokenView};

use crate::args::{RoleArg, TokenVerb};
use crate::connect::connect;
use crate::failure::Failure;
use crate::output::{Output, Tone};
use crate::quantity::span;
use crate::settings::Settings;
use crate::table::{Cell, Table};

pub(super) async fn run(verb: &TokenVerb, settings: &Settings, out: &Output) -> Result<u8, Failure> {
    match verb {
        TokenVerb::Create { role, owner, project, expires } => {
            let request = TokenRequest {
                role: Some(word(*role).to_owned()),
                owner: owner.clone(),
                project: project.clone(),
                expires_in: span("--expires", expires.as_ref())?,
                ..TokenRequest::default()
            };
            let client = connect(settings).await?;
            let made = client.create_token(&request).await?;
            out.one(&made, &made.view.id, |out| {
                out.say(&format!(
                    "token {} of {} in project {}, {}; it is shown only now:",
                    made.view.id, made.view.owner, made.view.project, made.view.role
                ));
                out.data(&made.token)
            })?;
        }
        TokenVerb::List => {
            let client = connect(settings).await?;
            let found = client.tokens().await?;
            out.list(&found, &found.items, |token| token.id.clone(), |out| table(&found.items, out))?;
        }
        TokenVerb::Revoke { ids } => {
            let client = connect(settings).await?;
            for id in ids {
                client.revoke_token(id).await?;
                out.say(&format!("token {id} opens nothing any more"));
            }
        }
    }
    Ok(0)
}

const fn word(role: RoleArg) -> &'static str {
    match role {
        RoleArg::Viewer => "viewer",
        RoleArg::Member => "member",
        RoleArg::Admin => "admin",
    }
}

fn table(tokens: &[TokenView], out: &Output) -> Table {
    let mut table = Table::new(&["ID", "OWNER", "PROJECT", "ROLE", "STATE", "CREATED", "EXPIRES"]);
    for token in tokens {
        let state = if token.revoked_at.is_some() { "revoked" } else { "valid" };
        let tone = if token.revoked_at.is_some() { Tone::Dim } else { Tone::Good };
        table.row(vec![
            token.id.as_str().into(),
            token.owner.as_str().into(),
            token.project.as_str().into(),
            token.role.as_str().into(),
            Cell::painted(state, |text| out.paint(tone, text)),
            day(&token.created_at).into(),
            token.expires_at.as_ref().map_or_else(|| "never".to_owned(), day).into(),
        ]);
    }
    table
}

fn day(time: &fastgpu_api::time::WallTime) -> String {
    time.to_string().chars().take(10).collect()
}
