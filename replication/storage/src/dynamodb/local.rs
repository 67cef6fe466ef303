//! Clients that speak plain HTTP: to DynamoDB Local, or to a proxy that speaks TLS for them.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_smithy_http_client::Builder;

/// Connects to the DynamoDB Local at `endpoint` (`http://host:port`). It keeps the tables of each `region`
/// apart, so one of it serves several.
pub fn local(endpoint: &str, region: &str) -> Client {
    plain(endpoint, region, ("local", "local", None))
}

/// Connects to `endpoint` (`http://host:port`) with an access key id, its secret, and a session's token if
/// there is one.
pub fn plain(endpoint: &str, region: &str, (id, secret, session): (&str, &str, Option<&str>)) -> Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new(region.to_owned()))
        .endpoint_url(endpoint)
        .credentials_provider(Credentials::new(id, secret, session.map(str::to_owned), None, "configured"))
        .retry_config(RetryConfig::disabled())
        .http_client(Builder::new().build_http());
    Client::from_conf(config.build())
}
