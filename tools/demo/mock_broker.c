// A Kafka broker that lives in memory (librdkafka's mock cluster), for trying K2 without one.
//
// usage: mock_broker PARTITIONS TOPIC...
// Prints its address, HOST:PORT on 127.0.0.1, and runs until its standard input ends. It keeps at
// most 5 MiB per partition.
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argument_count, char **arguments)
{
    if (argument_count < 3) {
        (void)fprintf(stderr, "usage: mock_broker PARTITIONS TOPIC...\n");
        return 2;
    }
    char why[512] = "";
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, NULL); // a mock has no server to be told of
    rd_kafka_t *client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    rd_kafka_mock_cluster_t *cluster = client == NULL ? NULL : rd_kafka_mock_cluster_new(client, 1);
    if (cluster == NULL) {
        (void)fprintf(stderr, "mock_broker: can not start: %s\n", why);
        return 1;
    }
    int partitions = (int)strtol(arguments[1], NULL, 10);
    for (int i = 2; i < argument_count; i++) {
        rd_kafka_resp_err_t failed =
            rd_kafka_mock_topic_create(cluster, arguments[i], partitions, 1);
        if (failed) {
            (void)fprintf(stderr, "mock_broker: topic %s: %s\n", arguments[i],
                          rd_kafka_err2str(failed));
            return 1;
        }
    }
    (void)printf("%s\n", rd_kafka_mock_cluster_bootstraps(cluster));
    (void)fflush(stdout);
    while (getchar() != EOF) {
    }
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(client);
    return 0;
}
