//! Makes the tables, and waits until they can be used. A deployment makes them by its templates instead; this
//! is for a single region, development and tests.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::create_table::CreateTableError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ProvisionedThroughput, ScalarAttributeType,
    TableStatus,
};
use tokio::time::{Instant, sleep};

use crate::error::Error;
use crate::key::Name;

/// How long a table may take to become active.
const PATIENCE: Duration = Duration::from_secs(120);
const GLANCE: Duration = Duration::from_millis(100);

/// What is paid for.
#[derive(Clone, Copy, Debug)]
pub enum Throughput {
    /// Each request.
    OnDemand,
    /// So many read and write units a second, of each table.
    Units(i64, i64),
}

/// Makes every table of [`Name::ALL`] that is not there yet, named `<prefix><name>`.
///
/// # Errors
/// `Unavailable` if DynamoDB refuses, or a table is not active in time.
pub async fn provision(client: &Client, prefix: &str, throughput: Throughput) -> Result<(), Error> {
    for table in Name::ALL {
        create(client, format!("{prefix}{table}"), throughput).await?;
    }
    let deadline = Instant::now() + PATIENCE;
    for table in Name::ALL {
        while !is_active(client, format!("{prefix}{table}")).await? {
            if Instant::now() > deadline {
                return Err(Error::unavailable("a table did not become active in time"));
            }
            sleep(GLANCE).await;
        }
    }
    Ok(())
}

async fn create(client: &Client, name: String, throughput: Throughput) -> Result<(), Error> {
    let mut request = client.create_table().table_name(name);
    for (attribute, role) in [("h", KeyType::Hash), ("s", KeyType::Range)] {
        let kind = AttributeDefinition::builder().attribute_name(attribute);
        let kind = kind.attribute_type(ScalarAttributeType::S).build().map_err(super::attempt::refused)?;
        let element = KeySchemaElement::builder().attribute_name(attribute).key_type(role).build();
        request = request.attribute_definitions(kind).key_schema(element.map_err(super::attempt::refused)?);
    }
    request = match throughput {
        Throughput::OnDemand => request.billing_mode(BillingMode::PayPerRequest),
        Throughput::Units(read, write) => {
            let units =
                ProvisionedThroughput::builder().read_capacity_units(read).write_capacity_units(write);
            request
                .billing_mode(BillingMode::Provisioned)
                .provisioned_throughput(units.build().map_err(super::attempt::refused)?)
        }
    };
    match Box::pin(request.send()).await.map_err(|error| error.into_service_error()) {
        Ok(_) | Err(CreateTableError::ResourceInUseException(_)) => Ok(()),
        Err(other) => Err(super::attempt::refused(other)),
    }
}

async fn is_active(client: &Client, name: String) -> Result<bool, Error> {
    let described = Box::pin(client.describe_table().table_name(name).send()).await;
    let described = described.map_err(super::attempt::refused)?;
    Ok(described.table.and_then(|table| table.table_status) == Some(TableStatus::Active))
}
