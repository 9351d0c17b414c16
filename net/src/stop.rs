use tokio::sync::watch;

/// Tells tasks to stop. Dropping it tells them too.
#[derive(Debug)]
pub struct Stopper(watch::Sender<bool>);

/// Asks whether to stop.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

impl Stopper {
    /// A stopper and what it tells.
    pub fn new() -> (Self, Stop) {
        let (sender, receiver) = watch::channel(false);
        (Self(sender), Stop(receiver))
    }

    /// Tells everyone.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// Whether it was told to stop.
    pub fn is_stopped(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }

    /// Waits until it is told to stop. Can be dropped and called again at any time.
    pub async fn stopped(&self) {
        // An error means that the stopper is gone.
        let _ = self.0.clone().wait_for(|stopped| *stopped).await;
    }
}
