use super::*;
use futures_util::FutureExt;

/// Returns room for two strangers of each address, four in all, and twelve clients.
fn small() -> Arc<Admission> {
    Admission::new(SeatLimits::new(40))
}

fn address(n: u8) -> IpAddr {
    [192, 0, 2, n].into()
}

fn is_evicted(seat: &Seat) -> bool {
    seat.evicted().now_or_never().is_some()
}

fn evicted(seats: &[Seat]) -> Vec<usize> {
    (0..seats.len()).filter(|&n| is_evicted(&seats[n])).collect()
}

/// Seats a connection that says hello.
fn client(admission: &Arc<Admission>, from: u8) -> Option<Seat> {
    let seat = admission.enter(address(from));
    seat.greeted().then_some(seat)
}

#[test]
fn descriptors_are_divided() {
    let limits = SeatLimits::new(64);
    assert_eq!((limits.strangers, limits.strangers_per_address, limits.clients), (10, 5, 30));
    let plenty = SeatLimits::new(1 << 20);
    assert_eq!(plenty.strangers, MAX_STRANGERS);
    let few = SeatLimits::new(0);
    assert!(few.strangers_per_address > 0 && few.clients > 0);
}

#[tokio::test]
async fn strangers_of_one_address_evict_each_other() {
    let admission = small();
    let other = admission.enter(address(2));
    let flood: Vec<Seat> = (0..6).map(|_| admission.enter(address(1))).collect();
    assert_eq!(evicted(&flood), [0, 1, 2, 3]);
    assert!(!is_evicted(&other));
    // A third address gets the last free seat; for a fourth a seat is vacated.
    let more = [admission.enter(address(3)), admission.enter(address(4))];
    assert_eq!(evicted(&flood), [4]);
    assert!(evicted(&more).is_empty() && !is_evicted(&other));
}

#[tokio::test]
async fn strangers_evict_no_clients() {
    let admission = small();
    let clients: Vec<Seat> = (0..12).map(|n| client(&admission, n).unwrap()).collect();
    let _flood: Vec<Seat> = (0..100).map(|n| admission.enter(address(n % 7))).collect();
    assert!(evicted(&clients).is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_address_has_its_share_of_the_clients_and_no_more() {
    let admission = small();
    let many: Vec<Seat> = (0..12).map(|_| client(&admission, 1).unwrap()).collect();
    many.iter().for_each(Seat::worked);
    assert!(client(&admission, 1).is_none(), "it has every seat already");
    tokio::time::advance(USELESS / 2).await;
    many[0].worked();
    let others: Vec<Seat> = (0..6).map(|_| client(&admission, 2).unwrap()).collect();
    others.iter().for_each(Seat::worked);
    assert_eq!(evicted(&many), [1, 2, 3, 4, 5, 6], "the longest without progress go first");
    assert!(client(&admission, 2).is_none(), "six each is fair");
    let third: Vec<Seat> = (0..4).map(|_| client(&admission, 3).unwrap()).collect();
    third.iter().for_each(Seat::worked);
    assert_eq!(evicted(&many).len() + evicted(&others).len(), 4);
    assert!(client(&admission, 3).is_none());
}

#[tokio::test(start_paused = true)]
async fn clients_without_work_yield_to_others_of_their_address() {
    let admission = small();
    let many: Vec<Seat> = (0..12).map(|_| client(&admission, 1).unwrap()).collect();
    many[0].worked();
    let newer: Vec<Seat> = (0..2).map(|_| client(&admission, 1).unwrap()).collect();
    assert_eq!(evicted(&many), [1, 2], "the oldest that never had work");
    many[3..].iter().chain(&newer).for_each(Seat::worked);
    assert!(client(&admission, 1).is_none());
    tokio::time::advance(USELESS / 2).await;
    many[0].worked();
    tokio::time::advance(USELESS / 2).await;
    let mut last = Vec::new();
    for _ in 0..11 {
        let seat = client(&admission, 1).unwrap();
        seat.worked();
        last.push(seat);
    }
    assert_eq!(evicted(&many), (3..12).collect::<Vec<_>>());
    assert!(client(&admission, 1).is_none());
}

#[tokio::test(start_paused = true)]
async fn evicted_connections_are_waited_for() {
    let admission = small();
    let mut flood: Vec<Seat> =
        (0..2 + MAX_LEAVING as u32 - 1).map(|_| admission.enter(address(1))).collect();
    assert!(admission.settled().now_or_never().is_some());
    flood.push(admission.enter(address(1)));
    assert!(admission.settled().now_or_never().is_none());
    flood.remove(0);
    assert!(admission.settled().now_or_never().is_some());
    drop(flood);
    let table = admission.table();
    assert_eq!((table.leaving, table.strangers.taken, table.holders.len()), (0, 0, 0));
    assert!(table.strangers.by_address.is_empty() && table.strangers.by_count.is_empty());
}

#[tokio::test]
async fn without_descriptors_the_address_with_most_clients_loses_one() {
    let admission = small();
    let many = [client(&admission, 1).unwrap(), client(&admission, 1).unwrap()];
    let single = client(&admission, 2).unwrap();
    let stranger = admission.enter(address(3));
    admission.evict();
    assert!(is_evicted(&stranger) && evicted(&many).is_empty());
    admission.evict();
    assert_eq!(evicted(&many), [0]);
    admission.evict();
    assert!(!is_evicted(&single) && evicted(&many).is_empty(), "one each: no eviction");
}
