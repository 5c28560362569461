//! The server itself, its machines and GPUs, and who may use them.

use fastgpu_api::config::ConfigView;
use fastgpu_api::queue::{QueueDetail, QueueView};
use fastgpu_api::view::{
    GpuView, HealthView, List, NodeView, TokenCreated, TokenRequest, TokenView, VersionView, WhoAmI,
};
use reqwest::Method;

use crate::error::ClientError;
use crate::transport::{Call, Client, encoded};

/// The version of the API that this client speaks.
pub const API: &str = "v1";

impl Client {
    /// Which server this is.
    ///
    /// # Errors
    /// See [`ClientError`]; [`ClientError::NotFastGpu`] when something else listens there.
    pub async fn version(&self) -> Result<VersionView, ClientError> {
        let strange = || ClientError::NotFastGpu { url: self.url().to_owned() };
        match self.json::<VersionView>(Call::get("version", "/version").anonymous()).await {
            Ok(version) if version.api.is_empty() => Err(strange()),
            Err(ClientError::Protocol { .. } | ClientError::Problem(_)) => Err(strange()),
            other => other,
        }
    }

    /// Which server this is, once it is known that it speaks our API.
    ///
    /// # Errors
    /// [`ClientError::VersionMismatch`] when it speaks another one; else as [`Client::version`].
    pub async fn check_version(&self) -> Result<VersionView, ClientError> {
        let version = self.version().await?;
        if version.api == API {
            return Ok(version);
        }
        Err(ClientError::VersionMismatch {
            url: self.url().to_owned(),
            server: version.version,
            server_api: version.api,
            own_api: API.to_owned(),
        })
    }

    /// Whether the server takes tasks.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn ready(&self) -> Result<HealthView, ClientError> {
        self.json(Call::get("readiness", "/readyz").anonymous()).await
    }

    /// Every GPU, what is free on it, and who holds the rest.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn gpus(&self) -> Result<List<GpuView>, ClientError> {
        self.json(Call::get("list of GPUs", "/v1/gpus")).await
    }

    /// Every machine.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn nodes(&self) -> Result<List<NodeView>, ClientError> {
        self.json(Call::get("list of nodes", "/v1/nodes")).await
    }

    /// Starts no new tasks on a node, or starts them again.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn drain(&self, node: &str, drain: bool) -> Result<(), ClientError> {
        let verb = if drain { "drain" } else { "resume" };
        let path = format!("/v1/nodes/{}/{verb}", encoded(node));
        self.done(Call::write(Method::POST, verb, path).idempotent()).await
    }

    /// Every queue: its rules, how full it is, who is first.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn queues(&self) -> Result<List<QueueView>, ClientError> {
        self.json(Call::get("list of queues", "/v1/queues")).await
    }

    /// One queue with the first of its waiting tasks.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn queue(&self, name: &str) -> Result<QueueDetail, ClientError> {
        self.json(Call::get("queue", format!("/v1/queues/{}", encoded(name)))).await
    }

    /// The configuration.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn config(&self) -> Result<ConfigView, ClientError> {
        self.json(Call::get("configuration", "/v1/config")).await
    }

    /// Replaces the configuration; with the `revision` it was read with, only if nobody else did meanwhile.
    ///
    /// # Errors
    /// See [`ClientError`]; a problem with the code `revision_mismatch` if somebody did.
    pub async fn configure(&self, config: &ConfigView) -> Result<ConfigView, ClientError> {
        self.json(Call::write(Method::PUT, "configuration", "/v1/config").body(config)?).await
    }

    /// Makes a token. Not repeated: a lost answer leaves a token that nobody knows, and that can be revoked.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn create_token(&self, request: &TokenRequest) -> Result<TokenCreated, ClientError> {
        self.json(Call::write(Method::POST, "token", "/v1/tokens").body(request)?).await
    }

    /// Every token, without secrets.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn tokens(&self) -> Result<List<TokenView>, ClientError> {
        self.json(Call::get("list of tokens", "/v1/tokens")).await
    }

    /// Whom our token stands for, and what it may do.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn whoami(&self) -> Result<WhoAmI, ClientError> {
        self.json(Call::get("identity", "/v1/whoami")).await
    }

    /// Ends a token, at once.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn revoke_token(&self, id: &str) -> Result<(), ClientError> {
        let path = format!("/v1/tokens/{}", encoded(id));
        self.done(Call::write(Method::DELETE, "revoke", path).idempotent()).await
    }
}
