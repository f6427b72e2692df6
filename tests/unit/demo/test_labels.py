"""The labelled windows, and how anomalies are held against them."""

from __future__ import annotations

from bifrost.demo.labels import LabelledWindow, assess, load_windows

_HOUR = 3600 * 10**9


def test_the_four_windows_of_the_recording_are_read_in_time_order() -> None:
    """The package data holds the four windows that the benchmark labels, as UTC."""
    windows = load_windows()
    assert len(windows) == 4
    assert windows[0].start_ns == 1386656700 * 10**9  # 2013-12-10T06:25:00Z
    assert windows[-1].end_ns == 1391954700 * 10**9  # 2014-02-09T14:05:00Z
    assert all(window.start_ns < window.end_ns for window in windows)
    assert [window.start_ns for window in windows] == sorted(window.start_ns for window in windows)


def test_the_first_anomaly_inside_a_window_finds_it() -> None:
    """A window is found by its earliest anomaly, whatever the order of detection; its edges count as inside."""
    windows = [LabelledWindow(10 * _HOUR, 20 * _HOUR), LabelledWindow(100 * _HOUR, 110 * _HOUR)]
    result = assess([20 * _HOUR, 12 * _HOUR, 10 * _HOUR], windows)
    assert result.found == (10 * _HOUR, None)
    assert result.found_count == 1
    assert result.false_alarms == ()


def test_alarms_outside_are_false_and_neighbours_count_as_one_episode() -> None:
    """Alarms less than a day apart are one episode; a later one is another; anomalies inside break nothing."""
    windows = [LabelledWindow(10 * _HOUR, 20 * _HOUR)]
    result = assess([_HOUR, 2 * _HOUR, 15 * _HOUR, 25 * _HOUR, 80 * _HOUR], windows)
    assert result.false_alarms == (_HOUR, 2 * _HOUR, 25 * _HOUR, 80 * _HOUR)
    assert result.false_episodes == 2
    assert result.found_count == 1


def test_no_anomaly_at_all_finds_nothing_and_alarms_nobody() -> None:
    """An empty list of anomalies leaves every window unfound."""
    result = assess([], load_windows())
    assert result.found_count == 0
    assert result.false_episodes == 0


def test_an_anomaly_that_reaches_into_a_window_is_inside_it() -> None:
    """A mean of two hours that begins before the label and ends in it judges labelled data."""
    windows = [LabelledWindow(10 * _HOUR, 20 * _HOUR)]
    assert assess([8 * _HOUR], windows, span_ns=2 * _HOUR).found_count == 1
    assert assess([7 * _HOUR], windows, span_ns=2 * _HOUR).found_count == 0
    assert assess([21 * _HOUR], windows, span_ns=2 * _HOUR).false_episodes == 1
