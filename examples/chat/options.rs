//! The command line of the chat.

/// What `--help` says.
pub(crate) const USAGE: &str = "\
Chat rooms in the browser, on STOMP over WebSocket.

usage: chat [--listen ADDRESS] [--tcp ADDRESS] [--broker URL]

  --listen ADDRESS  where the page is served, and STOMP at /ws [default: 127.0.0.1:8080]
  --tcp ADDRESS     where STOMP is served over plain TCP as well
  --broker URL      what takes messages to their subscribers, such as redis://127.0.0.1:6379, over
                    which several of these are one chat; needs the feature of its name
                    [default: memory:]
  --help            this text

Port 0 takes a free one. Ctrl-C stops.";

/// What the command line asks for.
pub(crate) struct Options {
    pub(crate) listen: String,
    pub(crate) tcp: Option<String>,
    pub(crate) broker: String,
}

impl Options {
    /// Reads the arguments. `None` if only the usage is asked for.
    pub(crate) fn parse(
        mut arguments: impl Iterator<Item = String>,
    ) -> Result<Option<Self>, String> {
        let mut options =
            Self { listen: "127.0.0.1:8080".to_owned(), tcp: None, broker: "memory:".to_owned() };
        while let Some(name) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{name} needs a value"));
            match name.as_str() {
                "--listen" => options.listen = value()?,
                "--tcp" => options.tcp = Some(value()?),
                "--broker" => options.broker = value()?,
                "--help" | "-h" => return Ok(None),
                _ => return Err(format!("{name:?} is no option")),
            }
        }
        Ok(Some(options))
    }
}
