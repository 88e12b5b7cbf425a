//! The state of the kernel's network, for the booted system: it is read to be compared
//! with a plan, and what a plan has and it lacks is added. Any user may read it.
use super::socket::{Nack, Socket};
use super::wire::{Message, Reply};
use crate::base::error::Error;
use crate::base::memory::Vector;
use crate::base::text::format;
use crate::plan::device::Device;
use crate::plan::{Prefix, Route};

/// What the kernel has.
#[derive(Clone, Copy)]
pub struct NetworkState {
    /// All devices.
    pub devices: &'static [Device],
    /// All addresses.
    pub addresses: &'static [KernelAddress],
    /// The routes of the main table.
    pub routes: &'static [KernelRoute],
}

/// An address of the kernel.
#[derive(Clone, Copy)]
pub struct KernelAddress {
    /// The index of its device.
    pub index: u32,
    /// The address.
    pub prefix: Prefix,
    /// Another machine of the network has it (RFC 4862, duplicate address detection).
    pub is_duplicate: bool,
}

/// A route of the kernel.
#[derive(Clone, Copy)]
pub struct KernelRoute {
    /// The index of its device.
    pub index: u32,
    /// The route.
    pub route: Route,
    /// Who added it (`rtm_protocol`).
    pub protocol: u8,
}

impl NetworkState {
    /// Reads it.
    ///
    /// # Errors
    /// The kernel refuses a list.
    pub fn read() -> Result<Self, Error> {
        let mut socket = Socket::open()?;
        let mut list = |ask: fn(&mut Message), each: &mut dyn FnMut(&Reply)| {
            let mut message = Message::new();
            ask(&mut message);
            socket
                .request(&mut message, each)
                .map_err(|nack| nack.errno)
        };
        let mut devices = Vector::new();
        list(Message::links, &mut |reply| {
            devices.extend(reply.link().as_slice())
        })?;
        let mut addresses = Vector::new();
        list(Message::addresses, &mut |reply| {
            if let Some((index, prefix)) = reply.address() {
                addresses.push(KernelAddress {
                    index,
                    prefix,
                    is_duplicate: reply.is_duplicate(),
                });
            }
        })?;
        let mut routes = Vector::new();
        list(Message::routes, &mut |reply| {
            reply.routes(&mut |index, route| {
                routes.push(KernelRoute {
                    index,
                    route,
                    protocol: reply.protocol(),
                });
            });
        })?;
        Ok(Self {
            devices: devices.finish(),
            addresses: addresses.finish(),
            routes: routes.finish(),
        })
    }

    /// The device of this name.
    pub fn device(&self, name: &[u8]) -> Option<&'static Device> {
        self.devices.iter().find(|device| *device.name == *name)
    }

    /// The name of the device with this index.
    pub fn name(&self, index: u32) -> &'static [u8] {
        let mut devices = self.devices.iter();
        match devices.find(|device| device.index == index) {
            Some(device) => &device.name,
            None => b"?",
        }
    }
}

/// Adds an address to a device.
///
/// # Errors
/// The kernel's words.
pub fn add_address(device: &Device, prefix: Prefix) -> Result<(), &'static [u8]> {
    add(|message| message.new_address(device.index, prefix, None))
}

/// Adds a route to a device.
///
/// # Errors
/// The kernel's words.
pub fn add_route(device: &Device, route: &Route) -> Result<(), &'static [u8]> {
    add(|message| message.new_route(device.index, route, None))
}

fn add(fill: impl FnOnce(&mut Message)) -> Result<(), &'static [u8]> {
    let mut message = Message::new();
    fill(&mut message);
    let added = Socket::open().map_err(Nack::from);
    let added = added.and_then(|mut socket| socket.request(&mut message, &mut |_| {}));
    added.map_err(|nack| format(&nack))
}
