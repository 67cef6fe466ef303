//! The two things that the client library's safe side does not offer: a topic's identity, and the number of
//! the group's generation. All unsafe code of this crate is in this file.
#![allow(unsafe_code, reason = "calls of the C client that have no safe wrapper")]

use std::ffi::CString;
use std::ptr;
use std::time::Duration;

use rdkafka::bindings as c;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode;

/// A topic as the cluster describes it.
pub(super) struct Described {
    /// Its id: the cluster gives another one to a topic that is made again.
    pub(super) id: u128,
    /// Replicas of each partition, by number: how many there are and how many are in sync.
    pub(super) partitions: Vec<(u16, u16)>,
}

/// A C object with the function that frees it.
struct Owned<T>(*mut T, unsafe extern "C" fn(*mut T));

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: the pointer came from the function that this one belongs to, and is freed once.
            unsafe { (self.1)(self.0) }
        }
    }
}

/// Asks the cluster for a topic. Blocks for `timeout` at most.
pub(super) fn describe<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    topic: &str,
    timeout: Duration,
) -> Result<Described, RDKafkaErrorCode> {
    let name = CString::new(topic).map_err(|_| RDKafkaErrorCode::InvalidTopic)?;
    let mut names = [name.as_ptr()];
    let wait_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    let handle = client.client().native_ptr();
    // SAFETY: `handle` lives as long as `client`; every object is freed by its `Owned`, the result of the
    // event before the event; strings and lists that belong to the event are read while it lives.
    unsafe {
        let topics = Owned(
            c::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), 1),
            c::rd_kafka_TopicCollection_destroy,
        );
        let queue = Owned(c::rd_kafka_queue_new(handle), c::rd_kafka_queue_destroy);
        let options = Owned(
            c::rd_kafka_AdminOptions_new(handle, c::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS),
            c::rd_kafka_AdminOptions_destroy,
        );
        c::rd_kafka_AdminOptions_set_request_timeout(options.0, wait_ms, ptr::null_mut(), 0);
        c::rd_kafka_DescribeTopics(handle, topics.0, options.0, queue.0);
        let event = Owned(c::rd_kafka_queue_poll(queue.0, wait_ms), c::rd_kafka_event_destroy);
        if event.0.is_null() {
            return Err(RDKafkaErrorCode::OperationTimedOut);
        }
        failed(c::rd_kafka_event_error(event.0))?;
        let result = c::rd_kafka_event_DescribeTopics_result(event.0);
        let mut count = 0;
        let described = c::rd_kafka_DescribeTopics_result_topics(result, &mut count);
        if described.is_null() || count == 0 {
            return Err(RDKafkaErrorCode::UnknownTopic);
        }
        read(*described)
    }
}

/// Copies what a description says.
///
/// # Safety
/// `topic` is a description whose event lives.
unsafe fn read(topic: *const c::rd_kafka_TopicDescription_t) -> Result<Described, RDKafkaErrorCode> {
    // SAFETY: as the caller promises; counts are written by the calls that give the lists.
    unsafe {
        failed(c::rd_kafka_error_code(c::rd_kafka_TopicDescription_error(topic)))?;
        let id = c::rd_kafka_TopicDescription_topic_id(topic);
        let most = c::rd_kafka_Uuid_most_significant_bits(id) as u64;
        let least = c::rd_kafka_Uuid_least_significant_bits(id) as u64;
        let mut count = 0;
        let list = c::rd_kafka_TopicDescription_partitions(topic, &mut count);
        let mut partitions = vec![(0, 0); count];
        for nth in 0..count {
            let partition = *list.add(nth);
            let (mut replicas, mut in_sync) = (0, 0);
            c::rd_kafka_TopicPartitionInfo_replicas(partition, &mut replicas);
            c::rd_kafka_TopicPartitionInfo_isr(partition, &mut in_sync);
            let number = c::rd_kafka_TopicPartitionInfo_partition(partition);
            if let Some(place) = usize::try_from(number).ok().and_then(|number| partitions.get_mut(number)) {
                *place = (replicas as u16, in_sync as u16);
            }
        }
        Ok(Described { id: u128::from(most) << 64 | u128::from(least), partitions })
    }
}

/// The generation of the group that a member is in; none while it is in none.
pub(super) fn generation<C: ConsumerContext>(member: &BaseConsumer<C>) -> Option<u32> {
    // SAFETY: the handle lives as long as `member`; the metadata is freed by its `Owned`.
    let number = unsafe {
        let metadata = Owned(
            c::rd_kafka_consumer_group_metadata(member.client().native_ptr()),
            c::rd_kafka_consumer_group_metadata_destroy,
        );
        if metadata.0.is_null() {
            return None;
        }
        c::rd_kafka_consumer_group_metadata_generation_id(metadata.0)
    };
    u32::try_from(number).ok().filter(|number| *number > 0)
}

fn failed(code: c::rd_kafka_resp_err_t) -> Result<(), RDKafkaErrorCode> {
    match code {
        c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
        code => Err(code.into()),
    }
}
