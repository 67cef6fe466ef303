use super::*;

/// E20: a commit never passes a record whose segment is not readable in the local table.
#[test]
fn a_commit_never_passes_an_unhandled_record() {
    let mut handled = Handled::from(10);
    let numbers: Vec<u64> = [12, 13, 20].into_iter().map(|next| handled.take(next)).collect();
    handled.done(numbers[1]);
    assert_eq!((handled.upto(), handled.open()), (10, 3), "the first is still open");
    handled.done(numbers[0]);
    assert_eq!((handled.upto(), handled.next(), handled.open()), (13, 20, 1));
    handled.done(numbers[2]);
    assert_eq!((handled.upto(), handled.next(), handled.open()), (20, 20, 0));
}

#[test]
fn a_number_from_before_or_never_given_changes_nothing() {
    let mut handled = Handled::from(0);
    let first = handled.take(1);
    handled.done(first);
    handled.done(first);
    handled.done(99);
    assert_eq!((handled.upto(), handled.open()), (1, 0));
}
