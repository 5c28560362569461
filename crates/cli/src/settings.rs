//! What holds for this call: flag, then environment, then file, then default.
//!
//! The only place that reads the environment. The file is `config.toml` in `~/.config/fastgpu`
//! (`XDG_CONFIG_HOME`, or `FASTGPU_CONFIG` names another); unknown keys are refused.

use std::collections::BTreeMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use crate::args::{CommonArgs, Format, UpArgs};
use crate::failure::Failure;
use crate::output::Taste;

/// Where `up` listens when nothing else is said.
pub(crate) const LISTEN_DEFAULT: &str = "127.0.0.1:7070";
/// A settings file is a dozen lines; larger ones are a mistake.
const FILE_BYTES_MAX: u64 = 64 * 1_024;

/// The environment this process was started with. Values that are not UTF-8 are left out, names too.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment(BTreeMap<String, String>);

impl Environment {
    pub(crate) fn of_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self(std::env::vars_os().filter_map(text).collect())
    }

    /// A variable that is set and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A variable that is set, even if empty.
    pub(crate) fn set(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

/// The keys of the settings file.
const KEYS: [&str; 10] = [
    "url",
    "token",
    "output",
    "data_dir",
    "listen",
    "insecure_http",
    "simulate",
    "nvml_path",
    "labels",
    "record",
];

/// What the file says; everything is optional.
#[derive(Debug, Default, serde::Deserialize)]
struct File {
    url: Option<String>,
    token: Option<String>,
    output: Option<String>,
    data_dir: Option<PathBuf>,
    listen: Option<String>,
    insecure_http: Option<bool>,
    simulate: Option<String>,
    nvml_path: Option<PathBuf>,
    labels: Option<Vec<String>>,
    record: Option<PathBuf>,
}

/// What holds for this call of any verb.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The server, if one is named; else the local one is looked for in `data_dir`.
    pub(crate) url: Option<String>,
    /// The token, if one is set; else the local server's.
    pub(crate) token: Option<String>,
    /// Folder of the local server.
    pub(crate) data_dir: PathBuf,
    /// Whether `data_dir` is not the default: then advice must name it.
    pub(crate) data_dir_named: bool,
    pub(crate) format: Format,
    pub(crate) environment: Environment,
    file: File,
}

/// What holds for a server.
#[derive(Debug, Clone)]
pub(crate) struct UpSettings {
    pub(crate) listen: SocketAddr,
    pub(crate) data_dir: PathBuf,
    pub(crate) simulate: Option<String>,
    pub(crate) nvml_path: Option<PathBuf>,
    /// What the operator says of this machine, as `key=value`, sorted.
    pub(crate) labels: Vec<String>,
    /// Where every command and decision is written down, if anywhere.
    pub(crate) record: Option<PathBuf>,
    pub(crate) log_filter: Option<String>,
    /// What no task may see: our data, and our settings with their token.
    pub(crate) hidden_dirs: Vec<PathBuf>,
}

impl Settings {
    /// Gathers what holds for this call.
    pub(crate) fn gather(flags: &CommonArgs, environment: Environment) -> Result<Self, Failure> {
        let file = read_file(&environment)?;
        let format = match (flags.json, flags.output) {
            (true, _) => Format::Json,
            (false, Some(format)) => format,
            (false, None) => match environment.get("FASTGPU_OUTPUT").or(file.output.as_deref()) {
                Some(word) => parse_format(word)?,
                None => Format::Table,
            },
        };
        let named = flags
            .data_dir
            .clone()
            .or_else(|| environment.get("FASTGPU_DATA_DIR").map(PathBuf::from))
            .or_else(|| file.data_dir.clone());
        let data_dir_named = named.is_some();
        let data_dir = match named {
            Some(folder) => std::path::absolute(&folder).map_err(|error| {
                Failure::usage(format!("`{}` is no folder name: {error}", folder.display()))
            })?,
            None => data_dir_default(&environment)?,
        };
        let own = |name: &str| environment.get(name).map(str::to_owned);
        Ok(Self {
            url: flags.url.clone().or_else(|| own("FASTGPU_URL")).or_else(|| file.url.clone()),
            token: own("FASTGPU_TOKEN").or_else(|| file.token.clone()),
            data_dir,
            data_dir_named,
            format,
            environment,
            file,
        })
    }

    /// What the environment says about colours and columns.
    pub(crate) fn taste(environment: &Environment) -> Taste {
        Taste {
            no_colour: environment.get("NO_COLOR").is_some() || environment.get("TERM") == Some("dumb"),
            columns: environment.get("COLUMNS").and_then(|text| text.parse().ok()).filter(|&n| n >= 20),
        }
    }

    /// What holds for a server that is started with `flags`.
    pub(crate) fn up(&self, flags: &UpArgs) -> Result<UpSettings, Failure> {
        let environment = &self.environment;
        let text = |flag: &Option<String>, name: &str, file: &Option<String>| {
            flag.clone().or_else(|| environment.get(name).map(str::to_owned)).or_else(|| file.clone())
        };
        let listen = text(&flags.listen, "FASTGPU_LISTEN", &self.file.listen);
        let listen = parse_listen(listen.as_deref().unwrap_or(LISTEN_DEFAULT))?;
        let insecure = flags.insecure_http || self.file.insecure_http == Some(true);
        if !listen.ip().is_loopback() && !insecure {
            return Err(Failure::usage(format!(
                "{listen} can be reached by other machines, and FastGPU does not speak TLS yet: \
                 tokens and data would travel readable"
            ))
            .help(
                "listen on 127.0.0.1 behind a proxy that speaks TLS, or accept it with `--insecure-http`",
            ));
        }
        let nvml_path = flags
            .nvml_path
            .clone()
            .or_else(|| environment.get("FASTGPU_NVML_PATH").map(PathBuf::from))
            .or_else(|| self.file.nvml_path.clone());
        let record = flags
            .record
            .clone()
            .or_else(|| environment.get("FASTGPU_RECORD").map(PathBuf::from))
            .or_else(|| self.file.record.clone());
        let record = record.map(std::path::absolute).transpose();
        let record = record.map_err(|error| Failure::usage(format!("`--record` names no file: {error}")))?;
        Ok(UpSettings {
            labels: self.labels(flags)?,
            record,
            listen,
            data_dir: self.data_dir.clone(),
            simulate: text(&flags.simulate, "FASTGPU_SIMULATE", &self.file.simulate),
            nvml_path,
            log_filter: environment.get("FASTGPU_LOG").map(str::to_owned),
            hidden_dirs: config_dir(environment).into_iter().chain([self.data_dir.clone()]).collect(),
        })
    }

    /// What the operator says of this machine: flags, else the environment, else the file.
    fn labels(&self, flags: &UpArgs) -> Result<Vec<String>, Failure> {
        let listed = |text: &str| text.split(',').map(|label| label.trim().to_owned()).collect();
        let given = match self.environment.get("FASTGPU_LABELS") {
            _ if !flags.label.is_empty() => flags.label.clone(),
            Some(text) => listed(text),
            None => self.file.labels.clone().unwrap_or_default(),
        };
        crate::quantity::labels(&given)
    }

    /// The driver's NVML library, where one is named.
    pub(crate) fn nvml_path(&self, flag: Option<&Path>) -> Option<PathBuf> {
        let named = flag.map(Path::to_owned);
        named
            .or_else(|| self.environment.get("FASTGPU_NVML_PATH").map(PathBuf::from))
            .or_else(|| self.file.nvml_path.clone())
    }
}

fn data_dir_default(environment: &Environment) -> Result<PathBuf, Failure> {
    let home = |name: &str| environment.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
    home("XDG_DATA_HOME")
        .or_else(|| home("HOME").map(|home| home.join(".local/share")))
        .map(|folder| folder.join("fastgpu"))
        .ok_or_else(|| {
            Failure::usage("there is no home folder to keep data in: HOME is not set")
                .help("name a folder with `--data-dir` or FASTGPU_DATA_DIR")
        })
}

fn config_dir(environment: &Environment) -> Option<PathBuf> {
    let home = environment.get("XDG_CONFIG_HOME").map(PathBuf::from);
    let home = home.or_else(|| environment.get("HOME").map(|home| Path::new(home).join(".config")));
    home.filter(|home| home.is_absolute()).map(|home| home.join("fastgpu"))
}

fn parse_listen(text: &str) -> Result<SocketAddr, Failure> {
    let refuse = || {
        Failure::usage(format!("`{text}` is not an address to listen on"))
            .help(format!("write an address and a port, as in `--listen {LISTEN_DEFAULT}`"))
    };
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    text.to_socket_addrs().ok().and_then(|mut found| found.next()).ok_or_else(refuse)
}

fn parse_format(word: &str) -> Result<Format, Failure> {
    <Format as clap::ValueEnum>::from_str(word, false).map_err(|_| {
        Failure::usage(format!("`{word}` is not an output format")).help("use table, json, jsonl or id")
    })
}

fn read_file(environment: &Environment) -> Result<File, Failure> {
    let named = environment.get("FASTGPU_CONFIG").map(PathBuf::from);
    let usual = || config_dir(environment).map(|folder| folder.join("config.toml"));
    let must_exist = named.is_some();
    let Some(path) = named.or_else(usual) else { return Ok(File::default()) };
    let refuse = |why: String| Failure::usage(format!("{}: {why}", path.display()));
    match std::fs::metadata(&path) {
        Ok(found) if found.len() > FILE_BYTES_MAX => {
            return Err(refuse(format!("a settings file has at most {FILE_BYTES_MAX} bytes")));
        }
        Ok(_) => {}
        Err(_) if !must_exist => return Ok(File::default()),
        Err(error) => return Err(refuse(format!("cannot be read: {error}"))),
    }
    let text = std::fs::read_to_string(&path).map_err(|error| refuse(format!("cannot be read: {error}")))?;
    parse_file(&text)
        .map_err(|failure| Failure { message: format!("{}: {failure}", path.display()), ..failure })
}

fn parse_file(text: &str) -> Result<File, Failure> {
    let table: toml::Table =
        text.parse().map_err(|error: toml::de::Error| Failure::usage(error.message().to_owned()))?;
    if let Some(key) = table.keys().find(|key| !KEYS.contains(&key.as_str())) {
        let help = match fastgpu_api::hint::nearest(key, &KEYS) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => format!("known keys are {}", KEYS.join(", ")),
        };
        return Err(Failure::usage(format!("`{key}` is not a setting")).help(help));
    }
    table.try_into().map_err(|error: toml::de::Error| Failure::usage(error.message().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(vars: &[(&str, &str)]) -> Environment {
        Environment(vars.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    #[test]
    fn a_flag_wins_over_the_environment_which_wins_over_the_default() {
        let vars = environment(&[("HOME", "/home/ann"), ("FASTGPU_DATA_DIR", "/from/env")]);
        let flags = CommonArgs { data_dir: Some("/from/flag".into()), ..CommonArgs::default() };
        assert_eq!(Settings::gather(&flags, vars.clone()).unwrap().data_dir, Path::new("/from/flag"));
        let none = CommonArgs::default();
        assert_eq!(Settings::gather(&none, vars).unwrap().data_dir, Path::new("/from/env"));
        let home = Settings::gather(&none, environment(&[("HOME", "/home/ann")])).unwrap();
        assert_eq!(home.data_dir, Path::new("/home/ann/.local/share/fastgpu"));
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest() {
        let failure = parse_file("listne = \"127.0.0.1:0\"").unwrap_err();
        assert_eq!(failure.message, "`listne` is not a setting");
        assert_eq!(failure.help.as_deref(), Some("did you mean `listen`?"));
        assert!(parse_file("url = \"http://127.0.0.1:1\"\ninsecure_http = true").is_ok());
    }

    #[test]
    fn labels_come_sorted_from_flags_or_the_environment() {
        let vars = environment(&[("HOME", "/h"), ("FASTGPU_LABELS", "zone=north, rack=7")]);
        let settings = Settings::gather(&CommonArgs::default(), vars).unwrap();
        let up = |label: &[&str]| {
            let label = label.iter().map(|&text| text.to_owned()).collect();
            settings.up(&UpArgs { label, ..UpArgs::default() }).map(|up| up.labels)
        };
        assert_eq!(up(&[]).unwrap(), ["rack=7", "zone=north"]);
        assert_eq!(up(&["disk=ssd"]).unwrap(), ["disk=ssd"]);
        for wrong in [&["rack"][..], &["=7"], &["rack=7", "rack=8"], &["ra ck=7"]] {
            assert!(up(wrong).unwrap_err().message.contains(wrong[wrong.len() - 1]), "{wrong:?}");
        }
    }

    #[test]
    fn an_address_that_others_reach_must_be_accepted_in_words() {
        let settings = Settings::gather(&CommonArgs::default(), environment(&[("HOME", "/h")])).unwrap();
        let mut flags = UpArgs { listen: Some("0.0.0.0:7070".into()), ..UpArgs::default() };
        assert!(settings.up(&flags).unwrap_err().help.unwrap().contains("--insecure-http"));
        flags.insecure_http = true;
        assert!(settings.up(&flags).is_ok());
        flags.listen = Some("nonsense".into());
        assert!(settings.up(&flags).unwrap_err().message.contains("`nonsense`"));
    }
}
