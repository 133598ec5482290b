//! Peers that break the protocol, or keep it and lie.

use super::*;
use seedrush::lease::{Epoch, Grant, LeaseId, LeaseState, Verdict};
use seedrush::proto::{
    Answer, Call, Hello, MAX_FRAME, PADDED_REQUEST, Progress, RefusalReason, Refused, Reply,
    Request, Welcome,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

fn hello(key: u8) -> Call {
    Call::Hello(Hello {
        oldest_version: 1,
        newest_version: 1,
        key: [key; 16],
        name: "raw".into(),
        backend: "none".into(),
        threads: 1,
        rate_hint: 0,
        kinds: seedrush::jobs::JobKind::ALL.to_vec(),
    })
}

/// A TCP peer that says what a test wants.
struct Raw {
    stream: TcpStream,
    number: u64,
    session: u64,
}

impl Raw {
    async fn connect(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap(), number: 0, session: 0 }
    }

    async fn joined(address: SocketAddr, key: u8) -> Self {
        let mut raw = Self::connect(address).await;
        let answer = raw.call(hello(key)).await.unwrap();
        let Answer::Welcome(Welcome { session, .. }) = answer else { panic!("{answer:?}") };
        raw.session = session;
        raw
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.send_together(&[bytes.to_vec()]).await;
    }

    /// Sends messages in one segment.
    async fn send_together(&mut self, messages: &[Vec<u8>]) {
        let mut frames = Vec::new();
        for message in messages {
            frames.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
            frames.extend(message);
        }
        self.stream.write_all(&frames).await.unwrap();
    }

    /// The next reply; `None` when the server has hung up.
    async fn receive(&mut self) -> Option<Reply> {
        let receiving = async {
            let length = self.stream.read_u32().await.ok()?;
            let mut bytes = vec![0; length as usize];
            self.stream.read_exact(&mut bytes).await.ok()?;
            Some(Reply::decode(&bytes).unwrap())
        };
        timeout(GUARD, receiving).await.unwrap()
    }

    async fn call(&mut self, call: Call) -> Option<Answer> {
        self.number += 1;
        let request = Request {
            number: self.number,
            session: self.session,
            notices_seen: 0,
            cookie: Vec::new(),
            call,
        };
        self.send(&request.encode(0)).await;
        loop {
            let reply = self.receive().await?;
            if reply.number == self.number {
                return reply.answer;
            }
        }
    }

    async fn lease(&mut self) -> Grant {
        loop {
            match self.call(Call::Ask).await.unwrap() {
                Answer::Grant(grant) => return grant,
                Answer::Wait(time) => tokio::time::sleep(time).await,
                other => panic!("{other:?}"),
            }
        }
    }

    async fn report(&mut self, progress: Progress) -> Verdict {
        match self.call(Call::Progress(progress)).await.unwrap() {
            Answer::Verdict(verdict) => verdict,
            other => panic!("{other:?}"),
        }
    }
}

fn nothing_of(grant: &Grant) -> Progress {
    Progress {
        lease: grant.lease,
        epoch: grant.epoch,
        job: grant.job,
        done: Span::with_len(grant.span.start(), 0),
        finished: false,
        hits: Vec::new(),
        shares: Vec::new(),
        sum: Vec::new(),
    }
}

fn everything_of(grant: &Grant) -> Progress {
    Progress { done: grant.span, ..nothing_of(grant) }
}

/// An honest client solves the puzzle, whatever has been done to the server before.
async fn still_serves(server: Running) {
    let honest = client(server.address, Transport::Auto, Duration::ZERO);
    let service = server.service.clone();
    let Ending::Over(over) = server.ended().await else { panic!("the server was not stopped") };
    assert!(puzzle(12, "A7C02215FC").is_solved_by(&over.seed));
    assert!(matches!(end_of(honest).await, client::ClientEnding::Over(_, _)));
    check_coverage(&service, 1);
}

fn start() -> Running {
    Running::start(quick(), Some(search(12, "A7C02215FC")))
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_messages_end_the_connection_and_nothing_else() {
    let server = start();
    let unknown_message = [0xfa, 0x01, 0x00];
    let cases: [&[u8]; 5] = [&[0xff; 40], b"GET / HTTP/1.1", &[], &unknown_message, &[8, 1, 0x82]];
    for bytes in cases {
        let mut raw = Raw::connect(server.address).await;
        raw.send(bytes).await;
        let reply = raw.receive().await.unwrap();
        let Some(Answer::Refused(refused)) = reply.answer else { panic!("{reply:?}") };
        assert_eq!(refused.reason, RefusalReason::Malformed);
        assert_eq!(raw.receive().await, None);
    }
    assert_eq!(server.service.with(|coordinator, _| coordinator.totals().clients), 0);
    still_serves(server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_too_large_cut_short_or_silent_hurt_nobody() {
    let server = start();
    let mut oversized = Raw::connect(server.address).await;
    let header = u32::try_from(MAX_FRAME + 1).unwrap().to_be_bytes();
    oversized.stream.write_all(&header).await.unwrap();
    assert_eq!(oversized.receive().await, None);
    let mut cut = Raw::connect(server.address).await;
    cut.stream.write_all(&[0, 0, 0xff, 0xff, 1, 2, 3]).await.unwrap();
    let mut silent = Vec::new();
    for _ in 0..1000 {
        silent.push(TcpStream::connect(server.address).await.unwrap());
    }
    assert_eq!(server.service.with(|coordinator, _| coordinator.totals().clients), 0);
    still_serves(server).await;
    drop((cut, silent));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_may_come_a_byte_at_a_time() {
    let server = start();
    let mut raw = Raw::connect(server.address).await;
    let request =
        Request { number: 1, session: 0, notices_seen: 0, cookie: Vec::new(), call: hello(1) };
    let bytes = request.encode(0);
    let mut frame = u32::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
    frame.extend(bytes);
    for byte in frame {
        raw.stream.write_all(&[byte]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let reply = raw.receive().await.unwrap();
    assert!(matches!(reply.answer, Some(Answer::Welcome(_))), "{reply:?}");
    still_serves(server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_another_version_is_told_who_has_to_update() {
    let server = start();
    let mut raw = Raw::connect(server.address).await;
    let Call::Hello(hello) = hello(1) else { unreachable!() };
    let newer = Hello { oldest_version: 7, newest_version: 9, ..hello };
    let answer = raw.call(Call::Hello(newer)).await.unwrap();
    let Answer::Refused(Refused { reason, text }) = answer else { panic!("{answer:?}") };
    assert_eq!(reason, RefusalReason::Version);
    assert!(text.contains("update the server"), "{text}");
    still_serves(server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_of_others_forged_and_repeated_change_no_coverage() {
    let server = start();
    let mut owner = Raw::joined(server.address, 1).await;
    let mut thief = Raw::joined(server.address, 2).await;
    let grant = owner.lease().await;
    let done = || server.service.with(|c, _| c.job(JobId(1)).unwrap().confirmed);
    // Another's lease, another epoch, another number, another job.
    let stolen = everything_of(&grant);
    assert_eq!(thief.report(stolen.clone()).await.lease, LeaseState::Over);
    for forged in [
        Progress { epoch: Epoch(grant.epoch.0 + 1), ..stolen.clone() },
        Progress { lease: LeaseId(grant.lease.0 + 1000), ..stolen.clone() },
        Progress { job: JobId(99), ..stolen.clone() },
    ] {
        assert_eq!(owner.report(forged).await.lease, LeaseState::Over);
    }
    // A span that is not in the lease.
    let beyond = Span::with_len(grant.span.end(), 1000);
    owner.report(Progress { done: beyond, ..stolen.clone() }).await;
    assert_eq!(done(), 0);
    // Giving back works once, and a replay gives nothing back of whoever has it next.
    let back = Progress { finished: true, ..nothing_of(&grant) };
    assert_eq!(owner.report(back.clone()).await.lease, LeaseState::Over);
    let next = thief.lease().await;
    assert_eq!(owner.report(back).await.lease, LeaseState::Over);
    let held = thief.report(nothing_of(&next)).await.lease;
    assert!(matches!(held, LeaseState::Held(held) if held.epoch == next.epoch), "{held:?}");
    assert_eq!(done(), 0);
    check_coverage(&server.service, 1);
    owner.call(Call::Goodbye).await;
    thief.call(Call::Goodbye).await;
    still_serves(server).await;
}

/// Claims whole leases without a share until the server has had enough.
async fn lie_until_refused(liar: &mut Raw) -> Refused {
    let mut claimed = 0;
    loop {
        match liar.call(Call::Ask).await.unwrap() {
            Answer::Grant(grant) => {
                claimed += span_len(grant.span);
                liar.report(everything_of(&grant)).await;
            }
            Answer::Wait(time) => tokio::time::sleep(time).await,
            Answer::Refused(refused) => {
                assert!(claimed > 0);
                return refused;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_claims_work_it_did_not_do_is_found_out() {
    let server = Running::start(quick(), Some(search(40, "A7C02215FC")));
    let mut liar = Raw::joined(server.address, 1).await;
    let refusal = lie_until_refused(&mut liar).await;
    assert_eq!(refusal.reason, RefusalReason::Banned);
    let (done, standing) = server.service.with(|coordinator, _| {
        let standing = coordinator.clients()[0].standing;
        (coordinator.job(JobId(1)).unwrap().confirmed, format!("{standing:?}"))
    });
    assert_eq!(done, 0, "what it claimed is free again");
    assert!(standing.contains("Distrusted"), "{standing}");
    check_coverage(&server.service, 1);
    server.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_claims_false_solutions_is_banned_after_three() {
    let server = start();
    let mut liar = Raw::joined(server.address, 1).await;
    let grant = liar.lease().await;
    let space = seedrush::SeedSpace::new(&puzzle(12, "A7C02215FC"), Layout::Counting).unwrap();
    let is_false = |nonce: &u128| !space.puzzle().is_solved_by(&space.seed(*nonce).unwrap());
    let lies: Vec<u128> = (grant.span.start()..).filter(is_false).take(3).collect();
    for (told, lie) in lies.into_iter().enumerate() {
        let verdict = liar.report(Progress { hits: vec![lie], ..nothing_of(&grant) }).await;
        assert_eq!(verdict.false_hits, 1, "lie {told}");
    }
    // It is told at once, and not only when it asks again; then the server hangs up.
    let told = liar.receive().await.unwrap();
    assert!(matches!(
        told.answer,
        Some(Answer::Refused(Refused { reason: RefusalReason::Banned, .. }))
    ));
    assert_eq!((told.number, liar.receive().await), (0, None));
    assert!(server.has_shown("Distrusted"));
    still_serves(server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_banned_client_over_udp_has_each_request_refused_once() {
    let server = start();
    let mut liar = Raw::joined(server.address, 1).await;
    let grant = liar.lease().await;
    let space = seedrush::SeedSpace::new(&puzzle(12, "A7C02215FC"), Layout::Counting).unwrap();
    let is_false = |nonce: &u128| !space.puzzle().is_solved_by(&space.seed(*nonce).unwrap());
    let lies: Vec<u128> = (grant.span.start()..).filter(is_false).take(3).collect();
    liar.report(Progress { hits: lies, ..nothing_of(&grant) }).await;
    let socket = datagram_socket(server.address).await;
    let proof = cookie(&socket).await;
    for number in 10..13 {
        let (session, cookie) = (liar.session, proof.clone());
        let ask = Request { number, session, notices_seen: 9, cookie, call: Call::Ask };
        // What was pushed before may come first.
        let mut reply = answer_to(&socket, &ask.encode(0)).await;
        while let Some(bytes) = &reply {
            let got = Reply::decode(bytes).unwrap();
            if got.number == number {
                let refused = matches!(got.answer, Some(Answer::Refused(ref r)) if r.reason == RefusalReason::Banned);
                assert!(refused, "{got:?}");
                break;
            }
            reply = next_datagram(&socket).await;
        }
        assert!(reply.is_some());
    }
    assert_eq!(next_datagram(&socket).await, None);
    still_serves(server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn liars_do_not_lock_their_neighbours_out() {
    let server = Running::start(quick(), Some(search(40, "A7C02215FC")));
    let honest = Raw::joined(server.address, 100).await;
    for key in 1..=4 {
        let mut liar = Raw::joined(server.address, key).await;
        let refusal = lie_until_refused(&mut liar).await;
        assert_eq!(refusal.reason, RefusalReason::Banned);
    }
    let mut newcomer = Raw::joined(server.address, 5).await;
    newcomer.lease().await;
    let suspects: Vec<bool> = server
        .service
        .with(|coordinator, _| coordinator.clients().iter().map(|client| client.suspect).collect());
    assert_eq!(suspects, [false, false, true, true, true, true]);
    // Who was here before stays what it was, also when it comes back.
    drop(honest);
    Raw::joined(server.address, 100).await.lease().await;
    assert!(!server.service.with(|coordinator, _| coordinator.clients()[0].suspect));
    server.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_come_together_are_all_answered() {
    let server = start();
    let mut raw = Raw::joined(server.address, 1).await;
    let (first, last) = (raw.number + 1, raw.number + 5);
    let session = raw.session;
    let beat = |number| {
        let (cookie, call) = (Vec::new(), Call::Heartbeat);
        Request { number, session, notices_seen: 0, cookie, call }.encode(0)
    };
    raw.send_together(&(first..=last).map(beat).collect::<Vec<_>>()).await;
    for number in first..=last {
        let reply = raw.receive().await.unwrap();
        assert_eq!((reply.number, reply.answer), (number, Some(Answer::Ok)));
    }
    // A refusal that ends the connection gets out although more has come.
    let mut raw = Raw::connect(server.address).await;
    raw.send_together(&[b"no message".to_vec(), beat(1)]).await;
    let answer = raw.receive().await.unwrap().answer;
    assert!(matches!(
        answer,
        Some(Answer::Refused(Refused { reason: RefusalReason::Malformed, .. }))
    ));
    assert_eq!(raw.receive().await, None);
    still_serves(server).await;
}

/// A UDP peer that says what a test wants.
async fn datagram_socket(server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(server).await.unwrap();
    socket
}

async fn answer_to(socket: &UdpSocket, bytes: &[u8]) -> Option<Vec<u8>> {
    socket.send(bytes).await.unwrap();
    next_datagram(socket).await
}

async fn next_datagram(socket: &UdpSocket) -> Option<Vec<u8>> {
    let mut buffer = [0; 2048];
    // Long for loopback; what comes at all comes at once.
    let received = timeout(Duration::from_millis(500), socket.recv(&mut buffer)).await;
    received.ok().map(|length| buffer[..length.unwrap()].to_vec())
}

async fn cookie(socket: &UdpSocket) -> Vec<u8> {
    let ask = Request { number: 1, session: 0, notices_seen: 0, cookie: vec![], call: Call::Ask };
    let reply = answer_to(socket, &ask.encode(PADDED_REQUEST)).await.unwrap();
    match Reply::decode(&reply).unwrap().answer {
        Some(Answer::Challenge(cookie)) => cookie,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unproven_addresses_get_nothing_larger_than_they_sent() {
    let server = start();
    let socket = datagram_socket(server.address).await;
    let calls = [hello(1), Call::Ask, Call::Jobs(0), Call::Clients(0)];
    for (number, call) in calls.into_iter().enumerate() {
        for least in [0, 30, PADDED_REQUEST, 1190] {
            let request = Request {
                number: number as u64 + 1,
                session: 0,
                notices_seen: 0,
                cookie: vec![7; 16],
                call: call.clone(),
            };
            let sent = request.encode(least);
            if let Some(reply) = answer_to(&socket, &sent).await {
                assert!(reply.len() <= sent.len());
                let answer = Reply::decode(&reply).unwrap().answer;
                assert!(matches!(answer, Some(Answer::Challenge(_))), "{answer:?}");
            } else {
                assert!(sent.len() < PADDED_REQUEST);
            }
        }
    }
    for noise in [&[0xff; 60][..], &[], &[0; 1200], b"hello there"] {
        assert_eq!(answer_to(&socket, noise).await, None);
    }
    assert_eq!(server.service.with(|coordinator, _| coordinator.totals().clients), 0);
    still_serves(server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn datagrams_repeated_or_from_elsewhere_do_nothing_twice() {
    let server = start();
    let socket = datagram_socket(server.address).await;
    let proof = cookie(&socket).await;
    let request = |number, session, cookie: &Vec<u8>, call| Request {
        number,
        session,
        notices_seen: 0,
        cookie: cookie.clone(),
        call,
    };
    let said = request(2, 0, &proof, hello(1)).encode(0);
    let welcome = answer_to(&socket, &said).await.unwrap();
    let Some(Answer::Welcome(Welcome { session, .. })) = Reply::decode(&welcome).unwrap().answer
    else {
        panic!("no welcome");
    };
    let ask = request(3, session, &proof, Call::Ask).encode(0);
    let grant = answer_to(&socket, &ask).await.unwrap();
    assert!(matches!(Reply::decode(&grant).unwrap().answer, Some(Answer::Grant(_))));
    for _ in 0..3 {
        assert_eq!(answer_to(&socket, &ask).await.as_ref(), Some(&grant));
        // The same client and session, now with the lease that it holds.
        let again = Reply::decode(&answer_to(&socket, &said).await.unwrap()).unwrap().answer;
        let Some(Answer::Welcome(again)) = again else { panic!("{again:?}") };
        assert_eq!((again.client, again.session, again.held.len()), (1, session, 1));
    }
    // A request that was overtaken by many others is answered nevertheless.
    for number in 100..140 {
        let beat = request(number, session, &proof, Call::Heartbeat).encode(0);
        answer_to(&socket, &beat).await.unwrap();
    }
    let late = request(50, session, &proof, Call::Heartbeat).encode(0);
    let reply = Reply::decode(&answer_to(&socket, &late).await.unwrap()).unwrap();
    assert_eq!((reply.number, reply.answer), (50, Some(Answer::Ok)));
    // The same datagrams, cookie and session included, from another address.
    let elsewhere = datagram_socket(server.address).await;
    for stolen in [&ask, &request(4, session, &proof, Call::Goodbye).encode(0)] {
        let reply = answer_to(&elsewhere, stolen).await.unwrap();
        let answer = Reply::decode(&reply).unwrap().answer;
        assert!(matches!(answer, Some(Answer::Challenge(_))), "{answer:?}");
    }
    let totals = server.service.with(|coordinator, _| coordinator.totals());
    assert_eq!((totals.clients, totals.leases), (1, 1));
    answer_to(&socket, &request(5, session, &proof, Call::Goodbye).encode(0)).await.unwrap();
    still_serves(server).await;
}
