//! The end of an epoch: what has come out, state, source positions and output lengths become durable together.

use std::time::Instant;

use super::Loop;
use crate::ports::WriteBatch;
use crate::service::state;
use crate::service::task::Epoch;

impl Loop {
    /// Ends the epoch: outputs first, then state, positions and lengths in one batch, then whoever waits is told.
    pub(super) fn commit(&mut self) -> anyhow::Result<()> {
        self.epoch_began = Instant::now();
        let epoch: Epoch = self.task.take_epoch()?;
        if !self.dirty && epoch.matches.is_empty() {
            return Ok(());
        }
        self.dirty = false;
        self.outputs.append(&epoch)?;
        let may_be_taken_back = self.sealed && self.keeps_state;
        if may_be_taken_back || (!self.keeps_state && self.log.is_none()) {
            drop(self.outputs.take_kept());
            return Ok(());
        }
        self.outputs.sync()?;
        self.meta.epoch += 1;
        self.meta.positions = self.task.positions();
        self.meta.outputs = self.outputs.lengths();
        let mut batch = WriteBatch::default();
        if self.keeps_state {
            state::put_changes(self.task.take_changes(), &mut batch);
            self.meta.fingerprints = self.inputs.fingerprints(&self.meta.positions)?;
            self.meta.write(&mut batch);
        }
        if let Some(published) = &mut self.published {
            published.stage(&self.meta.positions, &mut batch);
        }
        self.write(batch)?;
        if let Some(published) = &mut self.published {
            published.acknowledge();
        }
        Ok(())
    }

    /// Writes an epoch's batch together with its matches for subscribers, who are woken then.
    pub(super) fn write(&mut self, mut batch: WriteBatch) -> anyhow::Result<()> {
        let matches = self.outputs.take_kept();
        let staged = self.log.as_ref().map(|log| log.stage(self.meta.epoch, &matches, &mut batch));
        // One after the other: the store holds the batches up to some point.
        self.await_write()?;
        if self.log.is_none() && self.published.is_none() {
            let store = self.store.clone();
            let writer = std::thread::Builder::new().name("commit".to_owned());
            self.writing = Some(writer.spawn(move || store.write(batch))?);
            return Ok(());
        }
        self.store.write(batch)?;
        if let (Some(log), Some(staged)) = (&self.log, staged) {
            log.publish(staged);
        }
        Ok(())
    }

    /// Waits for what is being written.
    pub(super) fn await_write(&mut self) -> anyhow::Result<()> {
        if let Some(writing) = self.writing.take() {
            writing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        Ok(())
    }
}
