//! An ensemble of the models' crate, as the scoring operator wants it.

use serde::Serialize;
use std::sync::Arc;
use tidewheel_models::ensemble::MemberDefinition;
use tidewheel_models::{ActiveEnsemble, Ensemble, FeatureRow, FeatureView, LoadedModel, ModelId, Refusal};
use tidewheel_operators::scoring::{Candidate, Decision, Direction, Judge, Judgement, Refused, Window};

/// An ensemble with its models, and the view whose rows it takes.
#[derive(Debug)]
pub(super) struct Loaded {
    ensemble: Ensemble,
    models: Vec<Arc<LoadedModel>>,
    view: FeatureView,
    columns: Vec<String>,
}

impl Loaded {
    /// Puts it together, once to see whether it can be.
    pub fn new(
        ensemble: Ensemble,
        models: Vec<Arc<LoadedModel>>,
        view: FeatureView,
        columns: Vec<String>,
    ) -> Result<Self, tidewheel_models::score::ActiveError> {
        ActiveEnsemble::new(ensemble.clone(), &models, &view, &columns)?;
        Ok(Self { ensemble, models, view, columns })
    }
}

impl Candidate for Loaded {
    fn judge(&self) -> Box<dyn Judge> {
        let active = ActiveEnsemble::new(self.ensemble.clone(), &self.models, &self.view, &self.columns);
        Box::new(Bound(active.expect("it was put together once before")))
    }
}

/// An ensemble on one worker.
struct Bound(ActiveEnsemble);

impl Judge for Bound {
    fn judge(&self, window: &Window<'_>) -> Judgement {
        let first = window.rows.len().saturating_sub(self.0.rows_needed());
        let newest = window.rows[first..].iter();
        let rows: Vec<FeatureRow<'_>> = newest
            .map(|row| FeatureRow {
                event_time_ns: row.event_time_ns,
                staleness_ns: row.staleness_ns,
                warm_share: row.warm_share,
                values: &row.values,
            })
            .collect();
        let window = tidewheel_models::Window { symbol: window.symbol, rows: &rows };
        let scored = self.0.score(&window);
        let of_member = |(member, output): (&MemberDefinition, &Result<f64, Refusal>)| Member {
            model: member.model.clone(),
            version: member.version,
            weight: member.weight,
            value: output.as_ref().ok().copied(),
            refusal: output.as_ref().err().map(Refusal::name),
            detail: output.as_ref().err().map(Refusal::to_string),
        };
        let members: Vec<Member> =
            self.0.ensemble().definition().members.iter().zip(&scored.members).map(of_member).collect();
        let refused_of = |(member, output): (&MemberDefinition, &Result<f64, Refusal>)| {
            output.as_ref().err().map(|refusal| (member.model.to_string().into(), refusal.name()))
        };
        let definition = self.0.ensemble().definition();
        Judgement {
            refused_members: definition.members.iter().zip(&scored.members).filter_map(refused_of).collect(),
            decision: scored.decision.map(decision).map_err(|refusal| refused(&refusal)),
            members: serde_json::to_string(&members).expect("numbers and texts always encode").into(),
        }
    }
}

/// What a member gave, in the column `members` of the predictions.
#[derive(Serialize)]
struct Member {
    model: ModelId,
    version: u32,
    weight: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

fn decision(of: tidewheel_models::Decision) -> Decision {
    let direction = match of.direction {
        tidewheel_models::Direction::Down => Direction::Down,
        tidewheel_models::Direction::Flat => Direction::Flat,
        tidewheel_models::Direction::Up => Direction::Up,
    };
    Decision {
        value: of.value,
        direction,
        confidence: of.confidence,
        disagreement: of.disagreement,
        present: of.present,
    }
}

fn refused(refusal: &Refusal) -> Refused {
    Refused { name: refusal.name(), detail: refusal.to_string() }
}
