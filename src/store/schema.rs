//! The layout of the tables, and how an older one becomes the newest.

use sqlx::Row;

use super::database::Database;
use super::error::OpenError;

/// Each step makes one layout from the one before. A step that was released is never changed.
const STEPS: &[&str] = &[include_str!("migrations/0001.sql")];

/// The newest layout.
pub(super) const NEWEST: i64 = STEPS.len() as i64;

/// What a column holds, apart from nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Text(&'static str),
    Number(&'static str),
}

/// Every table of the newest layout with its columns, in an order in which each may refer to those before it. What
/// [`COUNT_ANEW`] counts is left out.
pub(super) const TABLES: &[(&str, &[Column])] = {
    use Column::{Number, Text};
    &[
        (
            "rooms",
            &[
                Number("id"),
                Text("name"),
                Text("folded"),
                Number("listed"),
                Number("locked"),
                Text("password"),
                Number("capacity"),
                Number("expires"),
                Number("idle"),
                Text("policy"),
                Number("created"),
                Number("last_active"),
                Number("last_seq"),
                Number("hidden"),
            ],
        ),
        (
            "bans",
            &[
                Number("room"),
                Text("session"),
                Text("name"),
                Text("address"),
                Number("created"),
            ],
        ),
        (
            "roles",
            &[
                Number("room"),
                Text("session"),
                Text("role"),
                Number("created"),
            ],
        ),
        (
            "invites",
            &[
                Text("id"),
                Number("room"),
                Text("hash"),
                Text("role"),
                Number("uses"),
                Number("used"),
                Number("expires"),
                Number("revoked"),
                Number("created"),
            ],
        ),
        (
            "messages",
            &[
                Number("room"),
                Number("seq"),
                Text("client_id"),
                Text("session"),
                Text("name"),
                Text("text"),
                Number("time"),
                Text("to_session"),
                Number("reply_to"),
                Number("edited"),
                Number("deleted"),
            ],
        ),
        (
            "reactions",
            &[
                Number("room"),
                Number("seq"),
                Text("session"),
                Text("emoji"),
                Number("time"),
            ],
        ),
        (
            "files",
            &[
                Text("id"),
                Number("room"),
                Text("name"),
                Text("kind"),
                Number("size"),
                Number("received"),
                Text("sha256"),
                Text("session"),
                Text("username"),
                Text("to_session"),
                Number("created"),
                Number("completed"),
                Number("told"),
            ],
        ),
        (
            "parts",
            &[Text("file"), Number("start"), Number("size"), Text("key")],
        ),
        ("graves", &[Text("key"), Number("due")]),
        (
            "api_keys",
            &[
                Text("id"),
                Text("name"),
                Text("hash"),
                Text("scopes"),
                Number("created"),
                Number("last_used"),
                Number("revoked"),
            ],
        ),
        (
            "outbox",
            &[
                Text("id"),
                Text("url"),
                Text("event"),
                Text("body"),
                Number("created"),
                Number("due"),
                Number("attempts"),
            ],
        ),
    ]
};

/// Counts what rooms and files have, from what is there.
pub(super) const COUNT_ANEW: &str = "
    UPDATE files SET pieces = (SELECT COUNT(*) FROM parts WHERE parts.file = files.id);
    UPDATE rooms SET
        files = (SELECT COUNT(*) FROM files WHERE files.room = rooms.id),
        bytes = (SELECT CAST(COALESCE(SUM(received), 0) AS BIGINT) FROM files WHERE files.room = rooms.id);
";

impl Column {
    /// Its name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Text(name) | Self::Number(name) => name,
        }
    }
}

/// Takes the steps that are missing, all or none of them.
pub(super) async fn bring_up_to_date(database: &Database) -> Result<(), OpenError> {
    let unavailable = |_| OpenError::Files("the layout cannot be read".to_owned());
    let mut tx = database.begin().await.map_err(unavailable)?;
    database.lock_layout(&mut tx).await?;
    sqlx::raw_sql("CREATE TABLE IF NOT EXISTS layout (version BIGINT NOT NULL)")
        .execute(tx.on())
        .await?;
    let row = sqlx::query("SELECT version FROM layout")
        .fetch_optional(tx.on())
        .await?;
    let found: i64 = match row {
        Some(row) => row.try_get(0)?,
        None => {
            sqlx::raw_sql("INSERT INTO layout (version) VALUES (0)")
                .execute(tx.on())
                .await?;
            0
        }
    };
    let known = NEWEST;
    if found > known {
        return Err(OpenError::Newer { found, known });
    }
    let done = usize::try_from(found).unwrap_or_default();
    for step in STEPS.iter().skip(done) {
        sqlx::raw_sql(*step).execute(tx.on()).await?;
    }
    sqlx::query("UPDATE layout SET version = $1")
        .bind(known)
        .execute(tx.on())
        .await?;
    tx.commit().await.map_err(unavailable)
}
