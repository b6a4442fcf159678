//! `turnstone --help`: one screen.

use crate::config;

/// The whole page.
pub(super) fn page() -> String {
    format!(
        "turnstone {}: a self-hosted calling server in one executable

Usage: turnstone [COMMAND] [FLAGS]

Commands:
  serve          run the server until SIGTERM; also what happens without a command
  check-config   read all settings, print what holds and who said so
  backup FILE    write all that is kept into a file, while the server runs
  restore FILE   replace all that is kept by a backup, while it does not
  key ...        API keys: create NAME SCOPE[,SCOPE...], list, revoke ID
  token ROOM     a token that opens a room: [--role host|guest|viewer] [--name X] [--expires 24h]
  help, version  this page, and which version this is

Flags, their defaults in brackets; those with ... may be given several times:
{}
Each flag is also an environment variable, TURNSTONE_HTTPS_LISTEN for --https-listen, lists
separated by commas, and a line in the file. Flags override it, it overrides the file.
Secrets are best kept in files: TURNSTONE_TURN_SECRET_FILE, or systemd credentials.
",
        env!("CARGO_PKG_VERSION"),
        config::options()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_fits_on_one_screen() {
        let page = page();
        assert!(page.lines().count() <= 64, "{} lines", page.lines().count());
        for line in page.lines() {
            assert!(
                line.chars().count() <= 100,
                "{} columns: {line}",
                line.chars().count()
            );
        }
    }
}
