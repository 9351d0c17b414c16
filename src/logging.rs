//! The log on standard error: `level=INFO msg="…" key=value`, or one JSON object per line.

use std::fmt::{self, Debug, Write};
use std::io;
use std::time::SystemTime;

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormattedFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;

use crate::config::{LogConfig, LogFormat};

/// Sends what the program logs to standard error from now on.
///
/// # Errors
/// A log has been set up before.
pub(crate) fn init(config: &LogConfig) -> Result<(), tracing::subscriber::SetGlobalDefaultError> {
    tracing::subscriber::set_global_default(subscriber(config, io::stderr))
}

fn subscriber<W>(config: &LogConfig, writer: W) -> impl Subscriber + Send + Sync + use<W>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let level = if config.debug { LevelFilter::DEBUG } else { LevelFilter::INFO };
    // Libraries only speak up when something is wrong.
    let targets = Targets::new().with_default(LevelFilter::WARN).with_target("litefs", level);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .fmt_fields(Fields { format: config.format })
        .event_format(Lines { format: config.format, timestamp: config.timestamp });
    tracing_subscriber::registry().with(targets).with(lines)
}

/// Writes events in the configured shape, with the fields of the spans they happen in behind their own.
#[derive(Debug)]
struct Lines {
    format: LogFormat,
    timestamp: bool,
}

impl<S> FormatEvent<S, Fields> for Lines
where
    S: Subscriber + for<'s> LookupSpan<'s>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, Fields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let time = self.timestamp.then(|| humantime::format_rfc3339_millis(SystemTime::now()).to_string());
        let level = event.metadata().level().as_str();
        let mut fields = FieldWriter { format: self.format, message: None, written: String::new() };
        event.record(&mut fields);
        for span in context.event_scope().into_iter().flatten() {
            if let Some(span_fields) = span.extensions().get::<FormattedFields<Fields>>() {
                fields.written.push_str(span_fields);
            }
        }

        let mut head = FieldWriter { format: self.format, message: None, written: String::new() };
        if let Some(time) = time {
            head.text("time", &time);
        }
        head.text("level", level);
        head.text("msg", &fields.message.unwrap_or_default());
        match self.format {
            LogFormat::Text => writeln!(writer, "{}{}", head.written.trim_start(), fields.written),
            LogFormat::Json => {
                writeln!(writer, "{{{}{}}}", head.written.trim_start_matches(','), fields.written)
            }
        }
    }
}

/// Keeps the fields of a span in the shape they will have behind those of an event.
#[derive(Debug)]
struct Fields {
    format: LogFormat,
}

impl<'w> FormatFields<'w> for Fields {
    fn format_fields<R: tracing_subscriber::field::RecordFields>(
        &self,
        mut writer: Writer<'w>,
        fields: R,
    ) -> fmt::Result {
        let mut visitor = FieldWriter { format: self.format, message: None, written: String::new() };
        fields.record(&mut visitor);
        writer.write_str(&visitor.written)
    }

    fn add_fields(
        &self,
        current: &'w mut FormattedFields<Self>,
        fields: &tracing::span::Record<'_>,
    ) -> fmt::Result {
        self.format_fields(current.as_writer(), fields)
    }
}

/// Writes ` key=value` or `,"key":value` for each field, and keeps the message apart.
#[derive(Debug)]
struct FieldWriter {
    format: LogFormat,
    message: Option<String>,
    written: String,
}

impl FieldWriter {
    fn text(&mut self, key: &str, value: &str) {
        match self.format {
            LogFormat::Text if needs_quotes(value) => self.raw(key, &format!("{value:?}")),
            LogFormat::Text => self.raw(key, value),
            LogFormat::Json => self.raw(key, &serde_json::Value::from(value).to_string()),
        }
    }

    /// Adds a value that is written already.
    fn raw(&mut self, key: &str, value: &str) {
        // Writing to a string cannot fail.
        let _ = match self.format {
            LogFormat::Text => write!(self.written, " {key}={value}"),
            LogFormat::Json => write!(self.written, ",{}:{value}", serde_json::Value::from(key)),
        };
    }
}

impl Visit for FieldWriter {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message = Some(value.to_owned()),
            name => self.text(name, value),
        }
    }

    fn record_error(&mut self, field: &Field, error: &(dyn std::error::Error + 'static)) {
        let chain: Vec<_> =
            std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect();
        self.record_str(field, &chain.join(": "));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.raw(field.name(), if value { "true" } else { "false" });
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.raw(field.name(), &value.to_string());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.raw(field.name(), &value.to_string());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no infinity and no NaN.
        match value.is_finite() {
            true => self.raw(field.name(), &value.to_string()),
            false => self.text(field.name(), &value.to_string()),
        }
    }
}

fn needs_quotes(value: &str) -> bool {
    value.is_empty()
        || value.chars().any(|c| matches!(c, ' ' | '=' | '"') || c.is_control() || c.is_whitespace())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What a program that runs under this configuration writes.
    fn written(config: LogConfig, program: impl FnOnce()) -> String {
        let buffer = Arc::new(Mutex::new(Vec::new()));
        let writer = buffer.clone();
        let subscriber = subscriber(&config, move || Shared(writer.clone()));
        tracing::subscriber::with_default(subscriber, program);
        let bytes = buffer.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn program() {
        tracing::info!("plain");
        tracing::info!(name = "app.db", count = 3, lag = -1, ratio = 0.5, ok = true, "database \"opened\"");
        tracing::warn!(path = "a b", empty = "", cause = "x=y", "line\nbreak");
        let span = tracing::info_span!("stream", peer = "node-b", state = tracing::field::Empty);
        span.record("state", "open");
        let _entered = span.enter();
        tracing::error!(txid = %7, "position mismatch");
        tracing::debug!("only for debugging");
        tracing::info!(target: "hyper::proto", "libraries are not heard");
    }

    #[test]
    fn text_is_written_as_keys_and_values() {
        let lines = [
            r#"level=INFO msg=plain"#,
            r#"level=INFO msg="database \"opened\"" name=app.db count=3 lag=-1 ratio=0.5 ok=true"#,
            r#"level=WARN msg="line\nbreak" path="a b" empty="" cause="x=y""#,
            r#"level=ERROR msg="position mismatch" txid=7 peer=node-b state=open"#,
        ];
        assert_eq!(written(LogConfig::default(), program).lines().collect::<Vec<_>>(), lines);
    }

    #[test]
    fn json_is_written_as_one_object_per_line() {
        let config = LogConfig { format: LogFormat::Json, ..LogConfig::default() };
        let text = written(config, program);
        for line in text.lines() {
            serde_json::from_str::<serde_json::Value>(line).unwrap();
        }
        let lines = [
            r#"{"level":"INFO","msg":"plain"}"#,
            r#"{"level":"INFO","msg":"database \"opened\"","name":"app.db","count":3,"lag":-1,"ratio":0.5,"ok":true}"#,
            r#"{"level":"WARN","msg":"line\nbreak","path":"a b","empty":"","cause":"x=y"}"#,
            r#"{"level":"ERROR","msg":"position mismatch","txid":"7","peer":"node-b","state":"open"}"#,
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), lines);
    }

    #[test]
    fn debug_adds_messages_and_timestamp_adds_the_time_in_front() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let config = LogConfig { debug: true, format, timestamp: true };
            let text = written(config, || tracing::debug!("now"));
            let (before, after) = match format {
                LogFormat::Text => ("time=", " level=DEBUG msg=now\n"),
                LogFormat::Json => ("{\"time\":\"", "\",\"level\":\"DEBUG\",\"msg\":\"now\"}\n"),
            };
            let time = text.strip_prefix(before).and_then(|rest| rest.strip_suffix(after)).expect(&text);
            assert_eq!(time.len(), "2026-11-22T10:00:00.000Z".len());
            humantime::parse_rfc3339(time).unwrap();
        }
    }
}
