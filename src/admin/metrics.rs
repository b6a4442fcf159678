//! What is measured: numbers that the parts say when asked, written as Prometheus reads them.

use std::fmt::{self, Write};
use std::sync::{Mutex, PoisonError};

/// All that is measured.
#[derive(Default)]
pub struct Metrics(Mutex<Vec<Family>>);

/// Whether a number goes up and down, or only up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// How much there is now.
    Gauge,
    /// How much there was since the start; the name ends in `_total`.
    Counter,
}

/// A name that Prometheus would not read, or one that is measured already; a fault in the program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a metric's name, or it stands for something else already")]
pub struct BadName(String);

struct Family {
    name: &'static str,
    help: &'static str,
    kind: Kind,
    series: Vec<Series>,
}

struct Series {
    labels: Vec<(&'static str, String)>,
    now: Box<dyn Fn() -> f64 + Send>,
}

impl Metrics {
    /// A number that goes up and down.
    ///
    /// # Errors
    /// The name is not one, or is taken.
    pub fn gauge(
        &self,
        name: &'static str,
        help: &'static str,
        now: impl Fn() -> f64 + Send + 'static,
    ) -> Result<(), BadName> {
        self.add(Kind::Gauge, name, help, &[], now)
    }

    /// A number that only goes up; its name ends in `_total`.
    ///
    /// # Errors
    /// The name is not one, or is taken.
    pub fn counter(
        &self,
        name: &'static str,
        help: &'static str,
        now: impl Fn() -> f64 + Send + 'static,
    ) -> Result<(), BadName> {
        self.add(Kind::Counter, name, help, &[], now)
    }

    /// One of several numbers of a name, told apart by labels. `now` is asked each time the metrics are read, so it
    /// answers at once and never waits.
    ///
    /// # Errors
    /// The name or a label is not one, or this number is there already.
    pub fn add(
        &self,
        kind: Kind,
        name: &'static str,
        help: &'static str,
        labels: &[(&'static str, &str)],
        now: impl Fn() -> f64 + Send + 'static,
    ) -> Result<(), BadName> {
        let bad = || BadName(name.to_owned());
        let is_kind = (kind == Kind::Counter) == name.ends_with("_total");
        if !is_kind || !is_name(name) || !labels.iter().all(|(label, _)| is_name(label)) {
            return Err(bad());
        }
        let labels = labels
            .iter()
            .map(|(label, value)| (*label, (*value).to_owned()))
            .collect();
        let series = Series {
            labels,
            now: Box::new(now),
        };
        let mut families = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match families.iter_mut().find(|family| family.name == name) {
            None => families.push(Family {
                name,
                help,
                kind,
                series: vec![series],
            }),
            Some(family) => {
                let is_new = family
                    .series
                    .iter()
                    .all(|other| other.labels != series.labels);
                if family.kind != kind || !is_new {
                    return Err(bad());
                }
                family.series.push(series);
            }
        }
        Ok(())
    }

    /// Everything as it is now, in Prometheus' text format 0.0.4.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for family in &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            let _ = write!(text, "{family}"); // writing to a String cannot fail
        }
        text
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            help,
            kind,
            series,
        } = self;
        let kind = match kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
        };
        writeln!(
            f,
            "# HELP {name} {}",
            help.replace('\\', "\\\\").replace('\n', "\\n")
        )?;
        writeln!(f, "# TYPE {name} {kind}")?;
        for Series { labels, now } in series {
            write!(f, "{name}")?;
            for (index, (label, value)) in labels.iter().enumerate() {
                let value = value
                    .replace('\\', "\\\\")
                    .replace('"', "\\\"")
                    .replace('\n', "\\n");
                write!(
                    f,
                    "{}{label}=\"{value}\"",
                    if index == 0 { '{' } else { ',' }
                )?;
            }
            writeln!(
                f,
                "{} {}",
                if labels.is_empty() { "" } else { "}" },
                Number(now())
            )?;
        }
        Ok(())
    }
}

/// A number as Prometheus writes it.
struct Number(f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            f64::INFINITY => f.write_str("+Inf"),
            f64::NEG_INFINITY => f.write_str("-Inf"),
            number => number.fmt(f),
        }
    }
}

/// Letters, digits and underscores, no digit first.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_asked_for_each_time_and_written_as_prometheus_reads_them() {
        let metrics = Metrics::default();
        let people = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(1));
        let now = std::sync::Arc::clone(&people);
        let count = move || now.load(std::sync::atomic::Ordering::Relaxed) as f64;
        metrics
            .gauge("turnstone_people", "People in rooms.", count)
            .unwrap();
        let bytes = |way| [("way", way)];
        metrics
            .add(
                Kind::Counter,
                "turnstone_bytes_total",
                "Bytes\nrelayed.",
                &bytes("in"),
                || 1.5,
            )
            .unwrap();
        metrics
            .add(
                Kind::Counter,
                "turnstone_bytes_total",
                "",
                &bytes("a\"b\\c\n"),
                || f64::INFINITY,
            )
            .unwrap();
        people.store(3, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(
            metrics.to_text(),
            "# HELP turnstone_people People in rooms.\n\
             # TYPE turnstone_people gauge\n\
             turnstone_people 3\n\
             # HELP turnstone_bytes_total Bytes\\nrelayed.\n\
             # TYPE turnstone_bytes_total counter\n\
             turnstone_bytes_total{way=\"in\"} 1.5\n\
             turnstone_bytes_total{way=\"a\\\"b\\\\c\\n\"} +Inf\n"
        );
    }

    #[test]
    fn a_name_that_cannot_be_read_or_is_taken_is_refused() {
        let metrics = Metrics::default();
        for name in ["", "1a", "a-b", "a b", "a_total"] {
            assert!(metrics.gauge(name, "", || 0.0).is_err(), "{name}");
        }
        assert!(
            metrics.counter("a", "", || 0.0).is_err(),
            "a counter ends in _total"
        );
        assert!(metrics.gauge("a", "", || 0.0).is_ok());
        assert!(metrics.gauge("a", "", || 0.0).is_err());
        assert!(
            metrics
                .add(Kind::Gauge, "b", "", &[("x-y", "")], || 0.0)
                .is_err()
        );
        assert!(!metrics.to_text().contains("# TYPE b"));
    }
}
