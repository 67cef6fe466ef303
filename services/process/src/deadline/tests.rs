use tokio_stream::StreamExt;

use super::*;

fn request(timeout: Option<&str>) -> Request<Body> {
    let mut request = Request::new(Body::empty());
    if let Some(timeout) = timeout {
        request.headers_mut().insert("grpc-timeout", timeout.parse().unwrap());
    }
    request
}

/// A response that says one thing each second, for ever.
fn ticking() -> Body {
    struct Ticks(tokio::time::Interval);
    impl HttpBody for Ticks {
        type Data = Bytes;
        type Error = Status;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            self.0.poll_tick(cx).map(|_| Some(Ok(Frame::data(Bytes::from_static(b"tick")))))
        }
    }
    let second = Duration::from_secs(1);
    Body::new(Ticks(tokio::time::interval_at(Instant::now() + second, second)))
}

/// The serving side alone: it says so itself, and drops what it was doing.
#[tokio::test(start_paused = true)]
async fn a_handler_is_dropped_at_its_deadline() {
    let alive = std::sync::Arc::new(());
    let held = alive.clone();
    let began = Instant::now();
    let handler = |_| async move {
        let _held = held;
        std::future::pending().await
    };
    let call = tokio::time::timeout(Duration::from_secs(100), bounded(request(Some("1500m")), handler));
    let status = call.await.expect("hangs").unwrap_err();
    assert_eq!(status.code(), tonic::Code::DeadlineExceeded);
    assert_eq!(began.elapsed().as_millis(), 1500);
    assert_eq!(std::sync::Arc::strong_count(&alive), 1);
}

#[tokio::test(start_paused = true)]
async fn a_response_stream_ends_at_the_deadline_of_its_call() {
    let response = bounded(request(Some("3500m")), |_| async { Ok(Response::new(ticking())) }).await.unwrap();
    let mut body = response.into_body();
    let frames = frames(&mut body).collect::<Vec<_>>().await;
    let (last, ticks) = frames.split_last().unwrap();
    assert!(ticks.len() == 3 && ticks.iter().all(Frame::is_data));
    let status = Status::from_header_map(last.trailers_ref().unwrap()).unwrap();
    assert_eq!(status.code(), tonic::Code::DeadlineExceeded);
}

fn frames(body: &mut Body) -> impl tokio_stream::Stream<Item = Frame<Bytes>> {
    futures_util::stream::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).map(Result::unwrap)
}

#[tokio::test(start_paused = true)]
async fn handlers_see_the_deadline_and_calls_without_one_have_none() {
    let seen = |timeout: Option<&'static str>| async move {
        let mut seen = None;
        let handler = |request: Request<Body>| {
            seen = request.extensions().get::<Deadline>().copied();
            async { Ok(Response::new(Body::empty())) }
        };
        bounded(request(timeout), handler).await.unwrap();
        seen
    };
    assert_eq!(seen(Some("2S")).await, Some(Deadline(Instant::now() + Duration::from_secs(2))));
    assert_eq!(seen(None).await, None);
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_timeout_is_refused() {
    let handler = |_| async { Ok(Response::new(Body::empty())) };
    let status = bounded(request(Some("soon")), handler).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
}

#[test]
fn timeouts_are_read_as_grpc_writes_them() {
    let cases = [
        ("1H", Some(3_600_000_000_000)),
        ("2M", Some(120_000_000_000)),
        ("3S", Some(3_000_000_000)),
        ("4m", Some(4_000_000)),
        ("5u", Some(5_000)),
        ("99999999n", Some(99_999_999)),
        ("100000000n", None),
        ("", None),
        ("S", None),
        ("-1S", None),
        ("1", None),
        ("1s", None),
        ("1é", None),
    ];
    for (text, nanos) in cases {
        assert_eq!(parse(text), nanos.map(Duration::from_nanos), "{text:?}");
    }
}
