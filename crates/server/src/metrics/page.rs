//! Pages: the metrics of one moment, written as OpenMetrics. Only here the library is known that writes them.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use sixpack_engine::Told;

use super::families::{FAMILIES, Kind};

/// What a page is, for whoever reads it.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The metrics of one moment.
#[derive(Debug)]
pub(super) struct Page(Vec<Vec<Series>>);

/// One number with what tells it apart.
#[derive(Debug)]
struct Series {
    labels: Vec<(&'static str, String)>,
    value: Value,
}

#[derive(Debug)]
enum Value {
    Whole(u64),
    Fraction(f64),
    Told(Told),
}

impl Page {
    pub(super) fn new() -> Self {
        Self(FAMILIES.iter().map(|_| Vec::new()).collect())
    }

    /// Adds a whole number.
    pub(super) fn number(&mut self, name: &str, labels: &[&str], number: u64) {
        self.add(name, labels, Value::Whole(number));
    }

    /// Adds a span given in milliseconds, or a time.
    pub(super) fn seconds(&mut self, name: &str, labels: &[&str], seconds: f64) {
        self.add(name, labels, Value::Fraction(seconds));
    }

    /// Adds a histogram.
    pub(super) fn histogram(&mut self, name: &str, labels: &[&str], told: Told) {
        self.add(name, labels, Value::Told(told));
    }

    fn add(&mut self, name: &str, labels: &[&str], value: Value) {
        let place = FAMILIES.iter().position(|family| family.name == name);
        let place = place.unwrap_or_else(|| panic!("{name} is not among the families"));
        let keys = FAMILIES[place].labels;
        assert_eq!(keys.len(), labels.len(), "the labels of {name}");
        let labels = keys.iter().copied().zip(labels.iter().map(|label| (*label).to_owned())).collect();
        self.0[place].push(Series { labels, value });
    }

    /// The page as text.
    pub(super) fn write(self) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::with_capacity(16 * 1024);
        encode(&mut text, &registry).expect("writing into a text does not fail");
        text
    }
}

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for (family, series) in FAMILIES.iter().zip(&self.0) {
            if series.is_empty() {
                continue;
            }
            let kind = match family.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                Kind::Histogram => MetricType::Histogram,
                Kind::Info => MetricType::Info,
            };
            let mut metric = encoder.encode_descriptor(family.name, &family.told(), None, kind)?;
            for one in series {
                if family.kind == Kind::Info {
                    metric.encode_info(&one.labels)?;
                } else if one.labels.is_empty() {
                    one.write(family.kind, &mut metric)?;
                } else {
                    one.write(family.kind, &mut metric.encode_family(&one.labels)?)?;
                }
            }
        }
        Ok(())
    }
}

impl Series {
    fn write(&self, kind: Kind, metric: &mut MetricEncoder<'_>) -> Result<(), fmt::Error> {
        match (&self.value, kind) {
            (Value::Whole(number), Kind::Counter) => {
                metric.encode_counter::<NoLabelSet, _, f64>(number, None)
            }
            (Value::Fraction(number), Kind::Counter) => {
                metric.encode_counter::<NoLabelSet, _, f64>(number, None)
            }
            (Value::Whole(number), _) => metric.encode_gauge(number),
            (Value::Fraction(number), _) => metric.encode_gauge(number),
            (Value::Told(Told { sum, count, buckets }), _) => {
                metric.encode_histogram::<NoLabelSet>(*sum, *count, buckets, None)
            }
        }
    }
}
