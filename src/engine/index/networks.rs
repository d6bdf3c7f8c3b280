//! Bits that ask the address in a text field to be in a network: found by the address, shortened to each of the lengths that their prefixes have.
//!
//! So of ten thousand networks, as in a list of those that are not to be trusted, an event costs its address, read once, and a look-up for each length of prefix, of which there are few.

use ipnet::IpNet;

use crate::engine::index::filed::{Posting, Postings, place_of};
use crate::event::{Lookup, Value};
use crate::pattern::{Expression, FieldPath, address};

/// What is filed under networks of one field.
#[derive(Debug)]
pub(super) struct Networks {
    pub(super) path: FieldPath,
    /// Those of addresses of four bytes, and those of sixteen: ascending, each once.
    prefix_lengths: [Vec<u8>; 2],
    /// Places in `postings`.
    places: Lookup<IpNet, usize>,
    postings: Vec<Postings>,
}

/// A conjunct that asks for a network.
#[derive(Clone, Copy)]
pub(super) struct AskedFor<'a> {
    pub(super) path: &'a FieldPath,
    pub(super) network: &'a IpNet,
}

impl<'a> AskedFor<'a> {
    /// `None`: the conjunct is something else.
    pub(super) fn by(conjunct: &'a Expression) -> Option<Self> {
        let Expression::InNetwork { address, network } = conjunct else { return None };
        let Expression::Field(path) = &**address else { return None };
        Some(Self { path, network })
    }
}

impl Networks {
    pub(super) fn of(path: &FieldPath) -> Self {
        Self { path: path.clone(), prefix_lengths: [const { Vec::new() }; 2], places: Lookup::default(), postings: Vec::new() }
    }

    pub(super) fn file(&mut self, asked: AskedFor<'_>, posting: Posting) {
        let network = *asked.network;
        let lengths = &mut self.prefix_lengths[usize::from(network.addr().is_ipv6())];
        if let Err(place) = lengths.binary_search(&network.prefix_len()) {
            lengths.insert(place, network.prefix_len());
        }
        let place = place_of(&mut self.places, &network, &mut self.postings);
        self.postings[place].file(posting);
    }

    /// What is filed under the networks that the address is in.
    pub(super) fn found(&self, value: &Value) -> impl Iterator<Item = &Postings> {
        let address = if let Value::Text(text) = value { address(text) } else { None };
        let lengths = address.map_or(&[][..], |address| &self.prefix_lengths[usize::from(address.is_ipv6())]);
        let networks = address.into_iter().flat_map(|address| lengths.iter().filter_map(move |length| IpNet::new(address, *length).ok()));
        networks.filter_map(|network| self.places.get(&network.trunc())).map(|place| &self.postings[*place])
    }

    pub(super) fn postings(&mut self) -> impl Iterator<Item = &mut Postings> {
        self.postings.iter_mut()
    }
}
