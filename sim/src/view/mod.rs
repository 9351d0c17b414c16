//! One page that shows a run, with everything in it.

mod data;
mod messages;

use litefs_sim::cluster::Report;

/// The page, with a place for the data.
const TEMPLATE: &str = include_str!("template.html");
const PLACE: &str = "/*DATA*/";

/// The page of a run whose events were all kept.
pub(crate) fn page(report: &Report) -> anyhow::Result<String> {
    let json = serde_json::to_string(&data::Data::of(report))?;
    Ok(TEMPLATE.replacen(PLACE, &safe_in_script(&json), 1))
}

/// JSON that cannot end the script it stands in. `<` is only in its strings, where it can be written otherwise.
fn safe_in_script(json: &str) -> String {
    json.replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

#[cfg(test)]
mod tests {
    use litefs_sim::Keep;
    use litefs_sim::cluster::{plan::Plan, run};

    use super::*;

    #[test]
    fn nothing_in_the_data_ends_the_script() {
        for text in ["</script><b>", "<!--<script>", "\u{2028}"] {
            let safe = safe_in_script(&serde_json::to_string(text).unwrap());
            assert!(!safe.contains('<') && !safe.contains('\u{2028}'), "{safe}");
            assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), text);
        }
    }

    #[test]
    fn page_stands_alone_and_has_every_event() {
        let plan =
            Plan { duration: std::time::Duration::from_millis(600), faults: Vec::new(), ..Plan::of_seed(1) };
        let report = run(plan, Keep::All);
        let page = page(&report).unwrap();
        for reference in ["http:", "https:", " src=", " href=", "url(", "@import", "fetch("] {
            assert!(!TEMPLATE.contains(reference), "{reference}");
        }
        assert_eq!(page.matches("</script>").count(), TEMPLATE.matches("</script>").count());
        assert!(!page.contains(PLACE));
        let json = page.split("const DATA = ").nth(1).unwrap().split(";\n").next().unwrap();
        let data: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(data["events"].as_array().unwrap().len() as u64, report.event_count());
        assert_eq!(data["hash"], report.hash().to_string());
    }
}
