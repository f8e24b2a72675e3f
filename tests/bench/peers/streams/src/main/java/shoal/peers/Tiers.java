package shoal.peers;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.time.OffsetDateTime;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/**
 * The job of the benchmark's peers in Kafka Streams: exactly-once v2, state in RocksDB with a changelog.
 *
 * <p>What it computes is told in job.py. Defaults wherever a default is reasonable; the record cache holds all users of
 * the benchmark, and records are compressed, because both make it cheaper.
 */
public final class Tiers implements Processor<String, byte[], String, byte[]> {
    static final String STORE = "users";
    static final int HOURS = 25;
    // The bytes of a state: the newest hour, the tier, then per hour three counts and the spend in hundredths.
    static final int HEAD = 9;
    static final int BUCKET = 3 * Integer.BYTES + Long.BYTES;
    static final int VIEWS = 0;
    static final int CART_ADDS = 4;
    static final int ORDERS = 8;
    static final int SPEND = 12;
    static final String[] NAMES = {"none", "low", "mid", "high"};

    @JsonIgnoreProperties(ignoreUnknown = true)
    record Event(String userId, String timestamp, String event, Values properties) {}

    @JsonIgnoreProperties(ignoreUnknown = true)
    record Values(double total) {}

    record Change(String user_id, String tier, String at) {}

    private final ObjectMapper mapper = new ObjectMapper();
    private final ObjectReader reader = mapper.readerFor(Event.class);
    private ProcessorContext<String, byte[]> context;
    private KeyValueStore<String, byte[]> users;

    @Override
    public void init(ProcessorContext<String, byte[]> context) {
        this.context = context;
        users = context.getStateStore(STORE);
    }

    @Override
    public void process(Record<String, byte[]> record) {
        try {
            Event event = reader.readValue(record.value());
            byte[] kept = users.get(record.key());
            ByteBuffer state = kept == null ? ByteBuffer.allocate(HEAD + HOURS * BUCKET) : ByteBuffer.wrap(kept.clone());
            byte tier = state.get(8);
            boolean changed = count(state, event);
            byte judged = judge(state);
            state.put(8, judged);
            if (changed) {
                users.put(record.key(), state.array());
            }
            if (judged != tier) {
                Change change = new Change(event.userId(), NAMES[judged], event.timestamp());
                context.forward(record.withValue(mapper.writeValueAsBytes(change)));
            }
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    /** Counts an event in its hour; returns whether the state has changed. */
    private static boolean count(ByteBuffer state, Event event) {
        long hour = OffsetDateTime.parse(event.timestamp()).toEpochSecond() / 3600;
        boolean moved = hour > state.getLong(0);
        if (moved) {
            moveOn(state, hour);
        }
        int measure = measure(event.event());
        if (measure < 0 || hour <= state.getLong(0) - HOURS) {
            return moved;
        }
        int bucket = bucket(hour);
        state.putInt(bucket + measure, state.getInt(bucket + measure) + 1);
        if (measure == ORDERS) {
            long amount = (long) Math.rint(event.properties().total() * 100);
            state.putLong(bucket + SPEND, state.getLong(bucket + SPEND) + amount);
        }
        return true;
    }

    private static int measure(String name) {
        if (name == null) {
            return -1;
        }
        return switch (name) {
            case "Product Viewed", "Product List Viewed", "Product Clicked" -> VIEWS;
            case "Product Added" -> CART_ADDS;
            case "Order Completed" -> ORDERS;
            default -> -1;
        };
    }

    private static int bucket(long hour) {
        return HEAD + (int) (hour % HOURS) * BUCKET;
    }

    private static void moveOn(ByteBuffer state, long hour) {
        for (long begun = Math.max(state.getLong(0) + 1, hour - HOURS + 1); begun <= hour; begun++) {
            int bucket = bucket(begun);
            state.putInt(bucket + VIEWS, 0).putInt(bucket + CART_ADDS, 0).putInt(bucket + ORDERS, 0);
            state.putLong(bucket + SPEND, 0);
        }
        state.putLong(0, hour);
    }

    private static byte judge(ByteBuffer state) {
        long views = 0;
        long cartAdds = 0;
        long orders = 0;
        long spend = 0;
        for (int bucket = HEAD; bucket < HEAD + HOURS * BUCKET; bucket += BUCKET) {
            views += state.getInt(bucket + VIEWS);
            cartAdds += state.getInt(bucket + CART_ADDS);
            orders += state.getInt(bucket + ORDERS);
            spend += state.getLong(bucket + SPEND);
        }
        if (spend >= 200_00) {
            return 3;
        }
        return (byte) (orders >= 1 ? 2 : cartAdds >= 1 || views >= 5 ? 1 : 0);
    }

    /** Arguments: bootstrap servers, input topic, output topic, application id, folder for the state. */
    public static void main(String[] arguments) {
        Properties settings = new Properties();
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, arguments[0]);
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, arguments[3]);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, arguments[4]);
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 128L << 20);
        settings.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
        settings.put(StreamsConfig.producerPrefix("compression.type"), "lz4");
        var builder = new StreamsBuilder();
        builder.addStateStore(
                Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore(STORE), Serdes.String(), Serdes.ByteArray())
                        .withCachingEnabled());
        builder.stream(arguments[1], Consumed.with(Serdes.String(), Serdes.ByteArray()))
                .process(Tiers::new, STORE)
                .to(arguments[2], Produced.with(Serdes.String(), Serdes.ByteArray()));
        var streams = new KafkaStreams(builder.build(), settings);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(Duration.ofSeconds(10))));
        streams.start();
    }
}
