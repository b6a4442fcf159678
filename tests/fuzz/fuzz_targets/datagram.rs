//! Any datagram: the reader, and the core of the relay behind it.
#![no_main]

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Instant;

use libfuzzer_sys::fuzz_target;
use turnstone::stun;
use turnstone::turn::{
    Allocations, Client, Credentials, ExternalAddresses, ExternalIp, Now, Settings, Shared, Transport,
};

thread_local! {
    static CORE: RefCell<Allocations> = RefCell::new(core());
}

fn core() -> Allocations {
    let settings = Settings::default();
    let credentials = Arc::new(Credentials::new(b"secret", &settings));
    let v4 = Some(ExternalIp { public: "198.41.0.4".parse().unwrap(), local: None });
    let external = ExternalAddresses { v4, v6: None, own: Vec::new() };
    Allocations::new(Arc::new(Shared::new(settings, credentials, external, Instant::now()).unwrap()), 0)
}

fuzz_target!(|bytes: &[u8]| {
    let _ = stun::ChannelData::read(bytes);
    if let Some(message) = stun::Message::read(bytes) {
        let _ = stun::Send::read(&message);
        let _ = message.fingerprint_fits();
        assert!(message.attributes().all(|a| a.offset + a.value.len() <= bytes.len()));
    }
    let client = Client {
        transport: Transport::Udp,
        via: 0,
        address: "203.0.113.7:4000".parse().unwrap(),
        server: "198.41.0.4:3478".parse().unwrap(),
    };
    CORE.with_borrow_mut(|core| {
        let now = Now { at: Instant::now(), unix: 1_700_000_000 };
        assert!(core.on_client_packet(&client, bytes, now).is_none(), "a stranger relays nothing");
        while core.next_effect().is_some() {}
        assert!(core.is_empty(), "a stranger holds nothing");
    });
});
