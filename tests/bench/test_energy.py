"""Meters on fake sysfs trees with known power."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from satsqueeze.bench.energy import (
    DeviceProfile,
    Energy,
    NoMeter,
    NotMeasured,
    Work,
    estimate_energy,
    find_meter,
    measure_energy,
)
from satsqueeze.bench.energy.ina import find_ina
from satsqueeze.bench.energy.nvml import find_nvml
from satsqueeze.bench.energy.polling import PollingMeter, PowerIntegral
from satsqueeze.bench.energy.powercap import PowercapMeter, elapsed_uj, find_powercap
from satsqueeze.bench.suite import PackageBench
from satsqueeze.core.errors import SettingsError

RANGE_UJ = 262_143_328_850


def write(folder: Path, **files: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_text(f"{content}\n")
    return folder


def zone(root: Path, place: str, name: str, energy_uj: int = 0) -> Path:
    folder = root / "class" / "powercap" / place
    return write(folder, name=name, energy_uj=energy_uj, max_energy_range_uj=RANGE_UJ)


def count(meter, changes: dict[Path, int]) -> Energy | NotMeasured:
    def work():
        for folder, energy_uj in changes.items():
            write(folder, energy_uj=energy_uj)

    return measure_energy(work, meter)


def test_rapl_adds_packages_and_their_memory_but_not_parts_or_the_platform(tmp_path):
    first = zone(tmp_path, "intel-rapl:0", "package-0", 5_000_000)
    second = zone(tmp_path, "intel-rapl:1", "package-1", 0)
    dram = zone(tmp_path, "intel-rapl:0:1", "dram", 1_000_000)
    core = zone(tmp_path, "intel-rapl:0:0", "core", 0)
    psys = zone(tmp_path, "intel-rapl:2", "psys", 0)
    mirror = zone(tmp_path, "intel-rapl-mmio:0", "package-0", 0)
    changes = {first: 7_000_000, second: 3_000_000, dram: 1_500_000, core: 10**9, psys: 10**9, mirror: 10**9}
    found = count(find_powercap(tmp_path), changes)
    assert found.joules == pytest.approx(2 + 3 + 0.5)
    assert found.domain == "package-0 + package-1 + dram"
    assert found.method == "RAPL powercap counters"
    assert found.watts == pytest.approx(found.joules / found.seconds)


def test_memory_nested_inside_its_package_is_found_and_counted_once(tmp_path):
    package = zone(tmp_path, "intel-rapl:0", "package-0")
    nested = zone(tmp_path, "intel-rapl:0/intel-rapl:0:0", "dram")
    (tmp_path / "class" / "powercap" / "intel-rapl:0:0").symlink_to(nested)
    found = count(find_powercap(tmp_path), {package: 1_000_000, nested: 250_000})
    assert found.joules == pytest.approx(1.25)


def test_the_platform_is_used_where_there_is_nothing_else(tmp_path):
    psys = zone(tmp_path, "intel-rapl:0", "psys")
    zone(tmp_path, "intel-rapl:0:0", "dram")
    found = count(find_powercap(tmp_path), {psys: 1_000_000})
    assert (found.joules, found.domain) == (1.0, "psys")


def test_rapl_survives_the_restart_of_its_counter(tmp_path):
    package = zone(tmp_path, "intel-rapl:0", "package-0", RANGE_UJ - 1_000_000)
    assert count(find_powercap(tmp_path), {package: 2_000_000}).joules == pytest.approx(3)
    assert elapsed_uj(10, 25, 100) == 15
    assert elapsed_uj(90, 5, 100) == 15


def test_a_counter_that_stands_still_measures_nothing(tmp_path):
    package = zone(tmp_path, "intel-rapl:0", "package-0", 42)
    found = count(find_powercap(tmp_path), {package: 42})
    assert isinstance(found, NotMeasured)
    assert "do not move" in found.reason


def test_a_counter_that_cannot_be_read_measures_nothing(tmp_path):
    package = zone(tmp_path, "intel-rapl:0", "package-0")
    (package / "energy_uj").write_text("")
    found = find_powercap(tmp_path)
    assert isinstance(found, NotMeasured)
    assert "cannot be read" in found.reason


def test_powercap_seconds_come_from_the_clock(tmp_path):
    folder = zone(tmp_path, "intel-rapl:0", "package-0")
    zones = find_powercap(tmp_path)._zones
    ticks = iter([10.0, 14.0])
    found = count(PowercapMeter(zones, clock=lambda: next(ticks)), {folder: 20_000_000})
    assert (found.joules, found.seconds, found.watts) == (20, 4, 5)


def test_a_meter_that_was_not_started_says_so(tmp_path):
    zone(tmp_path, "intel-rapl:0", "package-0")
    zones = find_powercap(tmp_path)._zones
    assert PowercapMeter(zones).stop() == NotMeasured("the meter was never started")
    lost = PowercapMeter(zones)
    lost.start()
    for counter in zones:
        (counter.folder / "energy_uj").unlink()
    assert lost.stop() == NotMeasured("a RAPL counter could be read at first, and then no more")
    lost.start()
    assert lost.stop() == NotMeasured("a RAPL counter could be read at first, and then no more")
    assert PollingMeter(lambda: 1.0, domain="x", method="y").stop() == NotMeasured("the meter was never started")


def test_trapezoids_are_exact_for_linear_power():
    integral = PowerIntegral()
    for at in (0.0, 0.5, 2.0, 4.0):
        integral.add(at, 3 + 2 * at)
    assert integral.joules == pytest.approx(3 * 4 + 4**2)
    assert integral.seconds == 4


def test_polling_integrates_constant_power_whatever_the_timing():
    found = measure_energy(lambda: time.sleep(0.05), PollingMeter(lambda: 5.0, domain="x", method="y", interval_s=0.01))
    assert found.seconds >= 0.05
    assert found.joules == pytest.approx(5 * found.seconds)
    assert "readings integrated" in found.method


def test_a_sensor_that_fails_on_the_way_measures_nothing():
    readings = iter([5.0])

    def watts():
        try:
            return next(readings)
        except StopIteration:
            raise OSError("gone") from None

    found = measure_energy(lambda: None, PollingMeter(watts, domain="VDD_IN", method="y", interval_s=0.01))
    assert found == NotMeasured("VDD_IN cannot be read (gone)")


def test_ina_of_a_jetson_multiplies_voltage_and_current_of_the_whole_module(tmp_path):
    folder = tmp_path / "class" / "hwmon" / "hwmon3"
    write(folder, name="ina3221", in1_label="VDD_CPU", in1_input=5000, curr1_input=100)
    write(folder, in2_label="VDD_IN", in2_input=5000, curr2_input=1500)
    write(folder, in7_label="sum of shunts", in7_input=3)
    found = measure_energy(lambda: None, find_ina(tmp_path))
    assert found.domain == "VDD_IN"
    assert found.watts == pytest.approx(7.5)
    assert found.method.startswith("ina3221 power sensor")


def test_ina_with_a_power_register_reads_microwatts(tmp_path):
    write(tmp_path / "class" / "hwmon" / "hwmon0", name="coretemp", power1_input=99_000_000)
    write(
        tmp_path / "class" / "hwmon" / "hwmon1", name="ina226", power1_input=2_500_000, curr1_input=1, in1_input=999_999
    )
    found = measure_energy(lambda: None, find_ina(tmp_path))
    assert (found.domain, found.watts) == ("an unnamed rail", pytest.approx(2.5))


def test_ina_adds_the_parts_of_a_board_without_a_rail_for_the_whole(tmp_path):
    folder = write(tmp_path / "class" / "hwmon" / "hwmon0", name="ina3221")
    write(folder, in1_label="VDD_GPU_SOC", in1_input=20_000, curr1_input=1500)
    write(folder, in2_label="VDD_CPU_CV", in2_input=20_000, curr2_input=480)
    write(folder, in3_label="VIN_SYS_5V0", in3_input=5000, curr3_input=900)
    write(folder, in4_label="NC", in4_input=5000, curr4_input=900)
    found = measure_energy(lambda: None, find_ina(tmp_path))
    assert found.domain == "VDD_GPU_SOC + VDD_CPU_CV + VIN_SYS_5V0"
    assert found.watts == pytest.approx(30 + 9.6 + 4.5)


def test_ina_of_older_jetsons_reads_milliwatts(tmp_path):
    folder = tmp_path / "bus" / "i2c" / "drivers" / "ina3221x" / "6-0040" / "iio:device0"
    write(folder, rail_name_0="POM_5V_IN", in_power0_input=4200, rail_name_1="POM_5V_GPU", in_power1_input=700)
    found = measure_energy(lambda: None, find_ina(tmp_path))
    assert (found.domain, found.watts) == ("POM_5V_IN", pytest.approx(4.2))


class FakeNvml:
    """Stands in for the pynvml module: 30 W for each second of its own clock."""

    class NVMLError(Exception):
        pass

    def __init__(self, *, gpus: int = 1, counter: bool = True):
        self.gpus, self.counter, self.millijoules = gpus, counter, 1000

    def nvmlInit(self):
        if not self.gpus:
            raise self.NVMLError("Driver Not Loaded")

    def nvmlDeviceGetHandleByIndex(self, index):
        if index >= self.gpus:
            raise self.NVMLError("Invalid Argument")
        return index

    def nvmlDeviceGetName(self, handle):
        return b"Fake GPU"

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):
        if not self.counter:
            raise self.NVMLError("Not Supported")
        return self.millijoules

    def nvmlDeviceGetPowerUsage(self, handle):
        return 30_000


def test_nvml_reads_the_counter_of_the_gpu():
    nvml = FakeNvml()

    def work():
        nvml.millijoules += 6000

    found = measure_energy(work, find_nvml(nvml), repeats=3)
    assert (found.joules, found.domain, found.method) == (6.0, "GPU 0, Fake GPU", "NVML energy counter")


def test_nvml_without_a_counter_integrates_power():
    found = measure_energy(lambda: None, find_nvml(FakeNvml(counter=False)))
    assert found.watts == pytest.approx(30)
    assert "NVML power reading" in found.method


def test_nvml_that_fails_or_stands_still_measures_nothing():
    nvml = FakeNvml()
    still = measure_energy(lambda: None, find_nvml(nvml))
    assert still == NotMeasured("the energy counter of GPU 0, Fake GPU did not move; measure longer")
    lost = measure_energy(lambda: setattr(nvml, "counter", False), find_nvml(nvml))
    assert lost == NotMeasured("GPU 0, Fake GPU cannot be read (Not Supported)")
    meter = find_nvml(nvml)
    nvml.nvmlDeviceGetPowerUsage = lambda _: nvml.nvmlDeviceGetHandleByIndex(9)
    assert measure_energy(lambda: None, meter) == NotMeasured("GPU 0, Fake GPU cannot be read (Invalid Argument)")


def test_work_that_fails_stops_the_meter():
    meter = PollingMeter(lambda: 5.0, domain="x", method="y", interval_s=0.01)
    with pytest.raises(ZeroDivisionError):
        measure_energy(lambda: 1 / 0, meter)
    assert meter.stop() == NotMeasured("the meter was never started")


def test_no_repeats_are_refused():
    with pytest.raises(SettingsError, match="at least 1 repeat, got 0"):
        measure_energy(lambda: None, NoMeter(""), repeats=0)
    with pytest.raises(SettingsError, match="energy_repeats must be at least 1, got 0"):
        PackageBench(energy_repeats=0)


@pytest.mark.parametrize(("nvml", "index"), [(FakeNvml(gpus=0), 0), (FakeNvml(), 4)])
def test_no_gpu_measures_nothing(nvml, index):
    assert isinstance(find_nvml(nvml, index=index), NotMeasured)


def test_nvml_without_its_module_measures_nothing(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pynvml", None)
    assert find_nvml() == NotMeasured("pynvml is not installed")
    assert isinstance(find_meter(device="gpu"), NoMeter)


def test_no_meter_gives_every_reason_as_a_value(tmp_path):
    found = measure_energy(lambda: None, find_meter(tmp_path))
    assert isinstance(found, NotMeasured)
    assert "RAPL" in found.reason
    assert "INA" in found.reason
    assert str(found) == "not measured"


def test_rapl_comes_before_a_board_sensor(tmp_path):
    write(tmp_path / "class" / "hwmon" / "hwmon0", name="ina226", power1_input=1_000_000)
    assert isinstance(find_meter(tmp_path), PollingMeter)
    zone(tmp_path, "intel-rapl:0", "package-0")
    assert isinstance(find_meter(tmp_path), PowercapMeter)


def test_energy_is_of_one_call(tmp_path):
    package = zone(tmp_path, "intel-rapl:0", "package-0")
    total = iter([1_000_000, 2_000_000, 4_000_000, 8_000_000])
    found = measure_energy(lambda: write(package, energy_uj=next(total)), find_meter(tmp_path), repeats=4)
    assert found.joules == pytest.approx(2)


def test_an_estimate_is_linear_and_says_what_it_is():
    profile = DeviceProfile(name="board", joules_per_mac=5e-12, joules_per_byte=1e-10, source="data sheet")
    found = estimate_energy(Work(macs=2e9, bytes_moved=1e7), profile)
    assert found.joules == pytest.approx(0.01 + 0.001)
    assert found.method.startswith("estimate, not a measurement")
    assert "data sheet" in found.method
    assert found.watts != found.watts


def test_a_profile_is_read_from_yaml(tmp_path):
    path = tmp_path / "board.yaml"
    path.write_text("name: board\njoules_per_mac: 5e-12\njoules_per_byte: 1.0e-10\nsource: data sheet\n")
    assert DeviceProfile.read(path) == DeviceProfile(
        name="board", joules_per_mac=5e-12, joules_per_byte=1e-10, source="data sheet"
    )


@pytest.mark.parametrize(
    "text",
    [
        "name: board\n",
        "[]",
        "name: [\n",
        "name: b\njoules_per_mac: much\njoules_per_byte: 1\nsource: s\n",
        "name: b\njoules_per_mac: -1\njoules_per_byte: 1\nsource: s\n",
        "name: b\njoules_per_mac: .inf\njoules_per_byte: 1\nsource: s\n",
        "name: b\njoules_per_mac: 1\njoules_per_byte: 1\nsource: ''\n",
    ],
)
def test_malformed_profiles_are_refused(tmp_path, text):
    path = tmp_path / "board.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError):
        DeviceProfile.read(path)


def test_an_absent_profile_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="cannot read"):
        DeviceProfile.read(tmp_path / "none.yaml")
