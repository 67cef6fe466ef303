//! Health and reflection beside a role's own, guarded services.

use bytes::Bytes;
use prost::Message;
use prost_types::{FileDescriptorProto, FileDescriptorSet, ServiceDescriptorProto};
use sterna_process::{CallerKeys, Way, require_caller, with_health};
use tokio_stream::StreamExt;
use tonic::Code;
use tonic::service::Routes;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::echo::EchoClient;
use crate::{Pair, everywhere};

fn descriptors() -> Vec<u8> {
    let service = ServiceDescriptorProto { name: Some("Echo".into()), ..Default::default() };
    let file = FileDescriptorProto {
        name: Some("test.proto".into()),
        package: Some("sterna.test".into()),
        service: vec![service],
        ..Default::default()
    };
    FileDescriptorSet { file: vec![file] }.encode_to_vec()
}

#[test]
fn health_and_reflection_are_open_beside_guarded_services() {
    everywhere(|way: Way| async move {
        let pair = Pair::new(way).await;
        let keys = CallerKeys::new(&["0123456789abcdef"]).unwrap();
        let routes = require_caller(Routes::new(pair.echo.clone()), &keys);
        let (routes, health) = with_health(routes, &descriptors()).await.unwrap();
        let link = way.connect(&pair.caller, &pair.callee, routes).await.unwrap();

        let status = EchoClient::new(link.clone()).say(Bytes::from_static(b"?")).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{way:?}");

        let mut client = HealthClient::new(link.clone());
        for (serving, expected) in [(false, ServingStatus::NotServing), (true, ServingStatus::Serving)] {
            health.set(serving).await;
            for service in ["", "sterna.test.Echo"] {
                let request = HealthCheckRequest { service: service.into() };
                let answer = client.check(request).await.unwrap().into_inner();
                assert_eq!(answer.status(), expected, "{way:?} {service}");
            }
        }

        let ask = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let mut client = ServerReflectionClient::new(link);
        let answers = client.server_reflection_info(tokio_stream::once(ask)).await.unwrap().into_inner();
        let answers: Vec<_> = answers.collect().await;
        let Some(MessageResponse::ListServicesResponse(list)) =
            answers[0].as_ref().unwrap().message_response.clone()
        else {
            panic!("{answers:?}")
        };
        assert!(list.service.iter().any(|service| service.name == "sterna.test.Echo"), "{way:?} {list:?}");
    });
}

#[tokio::test]
async fn bytes_that_are_no_descriptor_set_are_refused() {
    assert!(with_health(Routes::default(), b"\xff\xff").await.is_err());
}
