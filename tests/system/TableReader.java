// Reads tables behind a REST catalog with Iceberg's own generic reader, which is neither Spark's nor
// any other engine's. A line of stdin is a query: table, price column, number columns, filter, parted
// by tabs; the filter is empty or COLUMN OPERATOR VALUE. A line of stdout answers it: rows, then for
// each number column nulls, least, greatest and sum, then the checksum of iceberg_readers.mix, then
// the keys of the first and the last row by time.
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Map;
import java.util.Scanner;
import org.apache.hadoop.conf.Configuration;
import org.apache.iceberg.CatalogUtil;
import org.apache.iceberg.Table;
import org.apache.iceberg.catalog.TableIdentifier;
import org.apache.iceberg.data.IcebergGenerics;
import org.apache.iceberg.data.Record;
import org.apache.iceberg.expressions.Expression;
import org.apache.iceberg.expressions.Expressions;

public class TableReader {
  static final long PRIME = 1000003;

  static BigDecimal decimal(Object value) {
    return value instanceof BigDecimal ? (BigDecimal) value : new BigDecimal(value.toString());
  }

  static Expression filter(Table table, String text) {
    if (text.isEmpty()) {
      return Expressions.alwaysTrue();
    }
    String[] parts = text.split(" ", 3);
    Object value =
        switch (table.schema().findType(parts[0]).typeId()) {
          case DECIMAL -> new BigDecimal(parts[2]).setScale(8);
          case LONG -> Long.parseLong(parts[2]);
          default -> parts[2];
        };
    return switch (parts[1]) {
      case ">=" -> Expressions.greaterThanOrEqual(parts[0], value);
      case "<" -> Expressions.lessThan(parts[0], value);
      default -> Expressions.equal(parts[0], value);
    };
  }

  // In the order of rows: time, exchange, symbol, epoch, sequence.
  static int compare(Record left, Record right) {
    int order = Long.compare((long) left.getField("timestamp_ns"), (long) right.getField("timestamp_ns"));
    for (String name : new String[] {"exchange", "symbol"}) {
      if (order == 0) {
        order =
            Arrays.compareUnsigned(
                left.getField(name).toString().getBytes(StandardCharsets.UTF_8),
                right.getField(name).toString().getBytes(StandardCharsets.UTF_8));
      }
    }
    for (String name : new String[] {"epoch", "sequence"}) {
      order = order == 0 ? Long.compare((long) left.getField(name), (long) right.getField(name)) : order;
    }
    return order;
  }

  static String key(Record row) {
    return row == null
        ? "null"
        : row.getField("symbol") + " " + row.getField("timestamp_ns") + " " + row.getField("sequence");
  }

  static String answer(Table table, String price, String[] names, String where) throws Exception {
    long rows = 0, mix = 0;
    long[] nulls = new long[names.length];
    BigDecimal[] least = new BigDecimal[names.length], greatest = new BigDecimal[names.length];
    BigDecimal[] sums = new BigDecimal[names.length];
    Record first = null, last = null;
    try (var found = IcebergGenerics.read(table).where(filter(table, where)).build()) {
      for (Record row : found) {
        rows++;
        for (int i = 0; i < names.length; i++) {
          Object field = row.getField(names[i]);
          if (field == null) {
            nulls[i]++;
            continue;
          }
          BigDecimal value = decimal(field);
          least[i] = least[i] == null ? value : value.min(least[i]);
          greatest[i] = greatest[i] == null ? value : value.max(greatest[i]);
          sums[i] = sums[i] == null ? value : value.add(sums[i]);
        }
        if (row.getField(price) != null) {
          long unscaled = decimal(row.getField(price)).movePointRight(8).longValueExact();
          long time = (long) row.getField("timestamp_ns");
          mix += (Math.abs(time) % PRIME) * (Math.abs(unscaled) % PRIME) % PRIME;
        }
        first = first == null || compare(row, first) < 0 ? row.copy() : first;
        last = last == null || compare(row, last) > 0 ? row.copy() : last;
      }
    }
    StringBuilder text = new StringBuilder().append(rows);
    for (int i = 0; i < names.length; i++) {
      text.append('\t').append(nulls[i]).append('\t').append(least[i]);
      text.append('\t').append(greatest[i]).append('\t').append(sums[i]);
    }
    return text.append('\t').append(mix).append('\t').append(key(first)).append('\t').append(key(last)).toString();
  }

  public static void main(String[] arguments) throws Exception {
    Map<String, String> settings =
        Map.of(
            "type", "rest", "uri", arguments[0], "io-impl", "org.apache.iceberg.aws.s3.S3FileIO",
            "s3.endpoint", arguments[1], "s3.path-style-access", "true", "s3.access-key-id", "k2access",
            "s3.secret-access-key", "k2secret12345", "client.region", "us-east-1");
    var catalog = CatalogUtil.buildIcebergCatalog("lake", settings, new Configuration());
    Scanner queries = new Scanner(System.in, StandardCharsets.UTF_8);
    while (queries.hasNextLine()) {
      String[] query = queries.nextLine().split("\t", -1);
      Table table = catalog.loadTable(TableIdentifier.of("k2", query[0]));
      System.out.println(answer(table, query[1], query[2].split(","), query[3]));
    }
  }
}
