"""A Kafka broker, a schema registry and `k2 serve` as objects that tests start, kill and stop.

Everything listens on 127.0.0.1 and is ended by its own pid. A component that can not be had is a
skip, and a failure where CI=true.
"""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
K2 = os.path.join(ROOT, "build", "k2")
DATA = os.path.abspath(os.path.join(ROOT, "..", "shared", "data"))
JAVA = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true"]


def missing(what):
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what}, and CI=true")
    pytest.skip(what)


def fetch(what):
    """The folder of a component, fetched once."""
    if shutil.which("java") is None or shutil.which("mvn") is None:
        missing("java or mvn is not installed (Debian: openjdk-17-jdk-headless, maven)")
    done = subprocess.run([os.path.join(ROOT, "tests/system/fetch"), what], capture_output=True,
                          text=True, timeout=600)
    if done.returncode != 0:
        missing(f"{what} can not be fetched: {done.stderr.strip()[-300:]}")
    return done.stdout.strip().splitlines()[-1]


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def wait_for(what, seconds, condition):
    """Polls until `condition()` is true and returns what it gave."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s for {what}")
        time.sleep(0.05)


class Process:
    """A child with its output in a file."""

    def __init__(self, arguments, log, **options):
        self.log = log
        with open(log, "ab") as file:
            self.child = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=file,
                                          stderr=file, **options)

    def running(self):
        return self.child.poll() is None

    def end(self, number=signal.SIGTERM, seconds=15):
        if self.running():
            self.child.send_signal(number)
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
            raise

    def text(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()


class KafkaBroker:
    """One Apache Kafka broker (KRaft) with its data in `folder`."""

    def __init__(self, folder):
        self.home = fetch("kafka")
        self.folder = str(folder)
        os.makedirs(self.folder, exist_ok=True)
        self.port, controller = free_ports(2)
        self.address = f"127.0.0.1:{self.port}"
        self.process = None
        self.settings = os.path.join(self.folder, "server.properties")
        with open(os.path.join(self.folder, "log4j.properties"), "w", encoding="utf-8") as file:
            file.write("log4j.rootLogger=WARN, out\n"
                       "log4j.appender.out=org.apache.log4j.ConsoleAppender\n"
                       "log4j.appender.out.layout=org.apache.log4j.PatternLayout\n"
                       "log4j.appender.out.layout.ConversionPattern=[%d] %p %m (%c)%n\n")
        with open(self.settings, "w", encoding="utf-8") as file:
            file.write(f"""process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://{self.address},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://{self.address}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=10485760
num.network.threads=2
num.io.threads=2
auto.create.topics.enable=false
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
log.dirs={self.folder}/log
""")
        self._java("kafka.tools.StorageTool", "format", "-t", "AAAAAAAAAAAAAAAAAAAAAA", "-c",
                   self.settings, "--ignore-formatted").wait()

    def _java(self, *arguments):
        environment = dict(os.environ, CLASSPATH=os.path.join(self.home, "*"))
        with open(os.path.join(self.folder, "out"), "ab") as log:
            return subprocess.Popen(
                ["java", "-Xms192m", "-Xmx192m", *JAVA,
                 f"-Dlog4j.configuration=file:{self.folder}/log4j.properties", *arguments],
                env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def start(self):
        self.process = self._java("kafka.Kafka", self.settings)
        wait_for("the broker", 60, self._answers)
        return self

    def _answers(self):
        if self.process.poll() is not None:
            with open(os.path.join(self.folder, "out"), encoding="utf-8") as file:
                raise AssertionError(f"the broker ended: {file.read()[-2000:]}")
        try:
            socket.create_connection(("127.0.0.1", self.port), 0.2).close()
            return self.admin().list_topics(timeout=2).brokers
        except Exception:  # not yet
            return False

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()

    def admin(self):
        from confluent_kafka.admin import AdminClient
        return AdminClient({"bootstrap.servers": self.address, "log_level": 0})

    def create_topic(self, name, partitions):
        from confluent_kafka.admin import NewTopic
        admin = self.admin()  # lives as long as its answers are awaited
        admin.create_topics([NewTopic(name, partitions, 1)])[name].result(20)

        def known():  # not every answer tells of the topic at once
            topic = admin.list_topics(timeout=5).topics.get(name)
            return topic is not None and len(topic.partitions) == partitions

        wait_for(f"topic {name}", 20, known)

    def delete_topic(self, name):
        admin = self.admin()
        admin.delete_topics([name])[name].result(20)
        wait_for(f"no topic {name}", 20,
                 lambda: name not in admin.list_topics(timeout=5).topics)

    def send(self, topic, values, partition=0):
        """Raw messages, as any client may send them."""
        from confluent_kafka import Producer
        producer = Producer({"bootstrap.servers": self.address, "log_level": 0})
        for value in values:
            producer.produce(topic, value, partition=partition)
        assert producer.flush(30) == 0


class Registry:
    """Apicurio Registry, in memory, with the Confluent API."""

    def __init__(self, folder):
        home = fetch("registry")
        self.port, = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}/apis/ccompat/v7"
        self.process = Process(
            ["java", "-Xms64m", "-Xmx256m", *JAVA, "-Dquarkus.http.host=127.0.0.1",
             f"-Dquarkus.http.port={self.port}", "-jar",
             os.path.join(home, "apicurio-registry-app-2.6.13.Final-runner.jar")],
            os.path.join(str(folder), "registry.log"), cwd=home)
        wait_for("the registry", 60, self._answers)

    def _answers(self):
        assert self.process.running(), self.process.text()[-2000:]
        try:
            return urllib.request.urlopen(f"{self.url}/subjects", timeout=2).status == 200
        except OSError:
            return False

    def stop(self):
        self.process.end(signal.SIGKILL)


def k2(*arguments, check=True, store=None, timeout=120):
    command = [K2, *map(str, arguments)]
    if store is not None:
        command += ["--data", str(store)]
    done = subprocess.run(command, capture_output=True, timeout=timeout, stdin=subprocess.DEVNULL)
    if check:
        assert done.returncode == 0, f"{command}: {done.returncode}: {done.stderr.decode()[-2000:]}"
    return done


def produce(broker, topic, table, *files, registry, options=()):
    done = k2("produce", *files, "--kafka", broker.address, "--topic", topic, "--table", table,
              "--schema-registry", registry, "--format", "json", *options)
    figures = json.loads(done.stdout)
    assert figures["failed"] == 0 and figures["delivered"] == figures["rows_read"]
    return figures["delivered"]


class Server:
    """`k2 serve`, reading Kafka."""

    def __init__(self, store, broker, topics, registry, log):
        self.arguments = [K2, "serve", "--data", str(store), "--listen", "127.0.0.1:0", "--kafka",
                          broker.address, "--schema-registry", str(registry)]
        for topic, table in topics.items():
            self.arguments += ["--topic", f"{topic}={table}"]
        self.log = str(log)
        self.process = None

    def start(self):
        begin = os.path.getsize(self.log) if os.path.exists(self.log) else 0

        def url():
            with open(self.log, encoding="utf-8") as file:
                file.seek(begin)
                found = re.search(r"http://[0-9.:]+", file.read())
            assert found or self.process.running(), f"k2 serve ended: {self.process.text()[-500:]}"
            return found and found.group()

        self.process = Process(self.arguments, self.log)
        self.url = wait_for("k2 serve", 20, url)
        return self

    def health(self):
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=5) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as answer:  # degraded
            return json.load(answer)

    def ingest(self):
        health = self.health()
        return health["ingest"] if "ingest" in health else health["data"]["ingest"]

    def settled(self):
        figures = self.ingest()
        return figures["rows"] + figures["duplicates"] + figures["rejected"]

    def wait_settled(self, count, seconds=60):
        wait_for(f"{count} messages", seconds, lambda: self.settled() >= count)

    def kill(self):
        self.process.end(signal.SIGKILL)

    def stop(self):
        assert self.process.end() == 0, self.process.text()[-2000:]


def csv(store, table):
    """All rows as `k2 query` prints them."""
    return k2("query", "--table", table, "--time", "ns", "--format", "csv", store=store).stdout


def row_count(store, table):
    done = k2("stats", "--format", "json", store=store)
    return json.loads(done.stdout)["tables"][table]["rows"]
