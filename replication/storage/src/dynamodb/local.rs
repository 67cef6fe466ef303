//! A client for DynamoDB Local: plain HTTP, made-up credentials.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_smithy_http_client::Builder;

/// Connects to the DynamoDB Local at `endpoint` (`http://host:port`). It keeps the tables of each `region`
/// apart, so one of it serves several.
pub fn local(endpoint: &str, region: &str) -> Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new(region.to_owned()))
        .endpoint_url(endpoint)
        .credentials_provider(Credentials::new("local", "local", None, None, "local"))
        .retry_config(RetryConfig::disabled())
        .http_client(Builder::new().build_http());
    Client::from_conf(config.build())
}
