//! Between clients and a broker, to play tricks on chosen requests: an answer that never comes, or late, or a cut connection instead; a request that is held back.
//!
//! Of each frame only the head is read: its length (4 bytes), then of a request the key of its interface (2), version (2), correlation id (4) and the client's name (2 and
//! as many), of an answer the correlation id (4). Everything else passes as it is; of a request it may be looked whether it is about something.

use std::collections::BTreeMap;
use std::net::TcpListener as StdListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::Notify;

use crate::broker::Broker;

pub const PRODUCE: i16 = 0;
pub const FETCH: i16 = 1;
pub const LIST_OFFSETS: i16 = 2;
pub const JOIN_GROUP: i16 = 11;
pub const HEARTBEAT: i16 = 12;
pub const INIT_PRODUCER_ID: i16 = 22;
pub const END_TXN: i16 = 26;
pub const TXN_OFFSET_COMMIT: i16 = 28;

/// Longer frames are taken for a mistake of ours.
const FRAME_BYTES_MAX: usize = 256 << 20;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trick {
    /// The request is carried out, its answer never told.
    Swallow,
    Delay(Duration),
    /// The request is carried out, then the connection breaks.
    Cut,
    /// The request waits until it is let go.
    Hold,
    /// The same with all that come until then.
    HoldAll,
}

/// A trick that is to be played on the next request that fits, and once, but for [`Trick::HoldAll`].
pub struct Play {
    api: i16,
    /// Of which client; empty: of any.
    client: String,
    /// What it names, in its own bytes; empty: anything.
    about: Vec<u8>,
    trick: Trick,
    begun: AtomicBool,
    let_go: Notify,
    is_let_go: AtomicBool,
    answered: AtomicBool,
    answer: Notify,
    /// What was told, from behind the correlation id on.
    told: Mutex<Vec<u8>>,
}

pub struct Proxy {
    /// What clients connect to.
    pub address: String,
    plays: Arc<Plays>,
    /// Connections live as long.
    _runtime: Runtime,
}

#[derive(Default)]
struct Plays(Mutex<Vec<Arc<Play>>>);

impl Proxy {
    /// A broker of its own, and the proxy in front of it; none where there is no broker.
    pub fn before_a_broker() -> Option<(Broker, Self)> {
        let (listener, address) = Self::listen();
        let mut proxy = None;
        let broker = Broker::behind(|target| proxy.insert(Self::start(listener, address, target)).address.clone());
        broker.zip(proxy)
    }

    /// Not in front of anything yet: the broker behind it is told the address first.
    fn listen() -> (StdListener, String) {
        let listener = StdListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        listener.set_nonblocking(true).expect("a socket");
        (listener, address)
    }

    fn start(listener: StdListener, address: String, target: String) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let plays: Arc<Plays> = Arc::default();
        let of_listener = plays.clone();
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).expect("a listener");
            while let Ok((client, _)) = listener.accept().await {
                let (plays, target) = (of_listener.clone(), target.clone());
                tokio::spawn(async move {
                    // Where the broker is gone, so is the connection.
                    if let Ok(broker) = TcpStream::connect(&target).await {
                        connect(client, broker, plays).await;
                    }
                });
            }
        });
        Self { address, plays, _runtime: runtime }
    }

    /// On the next request of this kind by this client (empty: by any).
    pub fn play(&self, api: i16, client: &str, trick: Trick) -> Arc<Play> {
        self.play_about(api, client, &[], trick)
    }

    /// On the next of these that names something: a topic by its name, or where requests have that instead, by its id.
    pub fn play_about(&self, api: i16, client: &str, about: &[u8], trick: Trick) -> Arc<Play> {
        let play = Arc::new(Play {
            api,
            client: client.to_owned(),
            about: about.to_vec(),
            trick,
            begun: AtomicBool::new(false),
            let_go: Notify::new(),
            is_let_go: AtomicBool::new(false),
            answered: AtomicBool::new(false),
            answer: Notify::new(),
            told: Mutex::default(),
        });
        self.plays.0.lock().unwrap_or_else(PoisonError::into_inner).push(play.clone());
        play
    }
}

impl Play {
    fn fits(&self, api: i16, client: &str, frame: &[u8]) -> bool {
        let is_about = || self.about.is_empty() || frame.windows(self.about.len()).any(|bytes| bytes == self.about);
        self.api == api && (self.client.is_empty() || self.client == client) && is_about()
    }

    pub fn has_begun(&self) -> bool {
        self.begun.load(Ordering::SeqCst)
    }

    /// The broker has carried the request out, or refused it.
    pub fn is_answered(&self) -> bool {
        self.answered.load(Ordering::SeqCst)
    }

    /// The error of an answer that has it right behind the time that it was throttled for (as heartbeats have); `None`: no answer yet.
    pub fn error(&self) -> Option<i16> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        Some(i16::from_be_bytes(told.get(4..6)?.try_into().expect("two bytes")))
    }

    /// The end of [`Trick::Hold`] and [`Trick::HoldAll`].
    pub fn let_go(&self) {
        self.is_let_go.store(true, Ordering::SeqCst);
        self.let_go.notify_waiters();
    }

    async fn hold(&self) {
        self.begun.store(true, Ordering::SeqCst);
        // Made before it is asked: it hears what is told afterwards.
        let told = self.let_go.notified();
        if !self.is_let_go.load(Ordering::SeqCst) {
            told.await;
        }
    }
}

impl Plays {
    fn take(&self, api: i16, client: &str, frame: &[u8]) -> Option<Arc<Play>> {
        let mut plays = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        plays.retain(|play| play.trick != Trick::HoldAll || !play.is_let_go.load(Ordering::SeqCst));
        let place = plays.iter().position(|play| play.fits(api, client, frame))?;
        Some(if plays[place].trick == Trick::HoldAll { plays[place].clone() } else { plays.remove(place) })
    }
}

/// The answers of a connection that a trick is to be played on, by correlation id.
type Marked = Arc<Mutex<BTreeMap<i32, Arc<Play>>>>;

async fn connect(client: TcpStream, broker: TcpStream, plays: Arc<Plays>) {
    for stream in [&client, &broker] {
        // Slower without, nothing else.
        drop(stream.set_nodelay(true));
    }
    let (from_client, to_client) = client.into_split();
    let (from_broker, to_broker) = broker.into_split();
    let marked: Marked = Arc::default();
    let requests = pass_requests(from_client, to_broker, plays, marked.clone());
    let answers = pass_answers(from_broker, to_client, marked);
    // One end that is gone ends both.
    tokio::select! { () = requests => {} () = answers => {} }
}

async fn pass_requests(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, plays: Arc<Plays>, marked: Marked) {
    while let Some(frame) = read_frame(&mut from).await {
        let (api, correlation, client) = request_head(&frame);
        let mut held = None;
        if let Some(play) = plays.take(api, &client, &frame) {
            if matches!(play.trick, Trick::Hold | Trick::HoldAll) {
                play.hold().await;
            }
            if play.trick == Trick::Hold {
                held = Some(play.clone());
            }
            marked.lock().unwrap_or_else(PoisonError::into_inner).insert(correlation, play);
        }
        if to.write_all(&frame).await.is_err() {
            return;
        }
        // The client may be gone by now: its answer is awaited all the same.
        if let Some(play) = held {
            play.answer.notified().await;
        }
    }
}

async fn pass_answers(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, marked: Marked) {
    while let Some(frame) = read_frame(&mut from).await {
        let correlation = number(&frame, 4);
        let play = marked.lock().unwrap_or_else(PoisonError::into_inner).remove(&correlation);
        if let Some(play) = play {
            play.begun.store(true, Ordering::SeqCst);
            *play.told.lock().unwrap_or_else(PoisonError::into_inner) = frame[8..].to_vec();
            play.answered.store(true, Ordering::SeqCst);
            play.answer.notify_one();
            match play.trick {
                Trick::Swallow => continue,
                Trick::Cut => return,
                Trick::Delay(time) => tokio::time::sleep(time).await,
                Trick::Hold | Trick::HoldAll => {}
            }
        }
        if to.write_all(&frame).await.is_err() {
            return;
        }
    }
}

/// Whole, its length included. `None`: the connection is over.
async fn read_frame(from: &mut OwnedReadHalf) -> Option<Vec<u8>> {
    let mut frame = vec![0; 4];
    from.read_exact(&mut frame).await.ok()?;
    let length = usize::try_from(number(&frame, 0)).expect("a length");
    assert!(length < FRAME_BYTES_MAX, "a frame of {length} bytes");
    frame.resize(4 + length, 0);
    from.read_exact(&mut frame[4..]).await.ok()?;
    Some(frame)
}

fn request_head(frame: &[u8]) -> (i16, i32, String) {
    let short = |at: usize| i16::from_be_bytes([frame[at], frame[at + 1]]);
    let length = usize::try_from(short(12)).unwrap_or(0);
    (short(4), number(frame, 8), String::from_utf8_lossy(&frame[14..14 + length]).into_owned())
}

fn number(frame: &[u8], at: usize) -> i32 {
    i32::from_be_bytes(frame[at..at + 4].try_into().expect("four bytes"))
}
