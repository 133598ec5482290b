//! Bytes that are no messages, and messages in odd pieces.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_message_end_only_their_connection() {
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
    assert_eq!(server.service.read(|coordinator| coordinator.totals().clients), 0);
    still_serves(server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oversized_and_unfinished_frames_and_silent_peers_stop_nobody() {
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
    assert_eq!(server.service.read(|coordinator| coordinator.totals().clients), 0);
    still_serves(server).await;
    drop((cut, silent));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_may_arrive_byte_by_byte() {
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
async fn a_client_of_another_version_is_told_which_side_to_update() {
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
async fn requests_in_one_segment_are_all_answered() {
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
    // A refusal that ends the connection is sent although another request waits.
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
