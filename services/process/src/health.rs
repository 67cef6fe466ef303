//! Health and reflection: what load balancers and operators ask of a server, added beside a role's own
//! services.
//!
//! For servers that cross processes only: the reflection library spawns a task per stream, which ends with
//! the stream's connection but is not a task of the role's owner (E34).

use prost::Message;
use prost_types::FileDescriptorSet;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

/// Says to the outside whether the role serves.
#[derive(Clone, Debug)]
pub struct Health {
    reporter: HealthReporter,
    services: Vec<String>,
}

/// The descriptor set cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DescriptorError {
    /// The bytes are no file descriptor set.
    #[error("the descriptor set cannot be decoded")]
    Decode(#[from] prost::DecodeError),
    /// Its files contradict each other.
    #[error("the descriptor set cannot be served")]
    Reflect(#[from] tonic_reflection::server::Error),
}

/// `routes` with `grpc.health.v1` and `grpc.reflection.v1`. Every service of `descriptors` (an encoded
/// `FileDescriptorSet`) starts as not serving; raise it by [`Health::set`].
pub async fn with_health(routes: Routes, descriptors: &[u8]) -> Result<(Routes, Health), DescriptorError> {
    let set = FileDescriptorSet::decode(descriptors)?;
    let mut services = vec![String::new()];
    for file in &set.file {
        let name =
            |service: &prost_types::ServiceDescriptorProto| format!("{}.{}", file.package(), service.name());
        services.extend(file.service.iter().map(name));
    }
    let reflection =
        tonic_reflection::server::Builder::configure().register_file_descriptor_set(set).build_v1()?;
    let (reporter, health_service) = tonic_health::server::health_reporter();
    let health = Health { reporter, services };
    health.set(false).await;
    Ok((routes.add_service(health_service).add_service(reflection), health))
}

impl Health {
    /// Says of every service, and of the server as a whole, whether it serves.
    pub async fn set(&self, serving: bool) {
        let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
        for service in &self.services {
            self.reporter.set_service_status(service, status).await;
        }
    }
}
