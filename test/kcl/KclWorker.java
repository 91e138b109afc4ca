import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.URI;
import java.util.Map;
import java.util.StringJoiner;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.http.Protocol;
import software.amazon.awssdk.http.nio.netty.NettyNioAsyncHttpClient;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.cloudwatch.CloudWatchAsyncClient;
import software.amazon.awssdk.services.dynamodb.DynamoDbAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.kinesis.common.ConfigsBuilder;
import software.amazon.kinesis.common.InitialPositionInStream;
import software.amazon.kinesis.common.InitialPositionInStreamExtended;
import software.amazon.kinesis.coordinator.Scheduler;
import software.amazon.kinesis.lifecycle.events.InitializationInput;
import software.amazon.kinesis.lifecycle.events.LeaseLostInput;
import software.amazon.kinesis.lifecycle.events.ProcessRecordsInput;
import software.amazon.kinesis.lifecycle.events.ShardEndedInput;
import software.amazon.kinesis.lifecycle.events.ShutdownRequestedInput;
import software.amazon.kinesis.metrics.NullMetricsFactory;
import software.amazon.kinesis.processor.RecordProcessorCheckpointer;
import software.amazon.kinesis.processor.ShardRecordProcessor;
import software.amazon.kinesis.retrieval.KinesisClientRecord;
import software.amazon.kinesis.retrieval.polling.PollingConfig;

/**
 * One worker of Amazon's KCL, started by kcl-fleet.ts. Arguments: endpoints of Kinesis and DynamoDB, stream, application, worker,
 * failover time (ms). Each batch goes to stdout as a line of JSON, and is checkpointed only after its number has come back on stdin: what a
 * checkpoint covers has been counted. `stop`, or the end of stdin, ends it in order.
 */
public final class KclWorker {
  private static final Map<Integer, CompletableFuture<Void>> unconfirmed = new ConcurrentHashMap<>();
  private static final AtomicInteger batches = new AtomicInteger();

  public static void main(String[] args) throws Exception {
    String stream = args[2];
    var account = StaticCredentialsProvider.create(AwsBasicCredentials.create("local", "local"));
    var http = NettyNioAsyncHttpClient.builder().protocol(Protocol.HTTP1_1).maxConcurrency(100);
    var kinesis = KinesisAsyncClient.builder().region(Region.US_EAST_1).credentialsProvider(account).httpClientBuilder(http)
        .endpointOverride(URI.create(args[0])).build();
    var dynamodb = DynamoDbAsyncClient.builder().region(Region.US_EAST_1).credentialsProvider(account)
        .endpointOverride(URI.create(args[1])).build();
    // Never called: the metrics go nowhere.
    var cloudWatch = CloudWatchAsyncClient.builder().region(Region.US_EAST_1).credentialsProvider(account)
        .endpointOverride(URI.create(args[0])).build();
    var start = InitialPositionInStreamExtended.newInitialPosition(InitialPositionInStream.TRIM_HORIZON);
    var configs = new ConfigsBuilder(stream, args[3], kinesis, dynamodb, cloudWatch, args[4], Reporter::new);
    var leases = configs.leaseManagementConfig().failoverTimeMillis(Long.parseLong(args[5])).shardSyncIntervalMillis(15_000)
        .initialPositionInStream(start);
    var metrics = configs.metricsConfig();
    metrics.metricsFactory(new NullMetricsFactory());
    var retrieval = configs.retrievalConfig().retrievalSpecificConfig(new PollingConfig(stream, kinesis));
    retrieval.initialPositionInStreamExtended(start);
    var scheduler = new Scheduler(configs.checkpointConfig(), configs.coordinatorConfig(), leases, configs.lifecycleConfig(), metrics,
        configs.processorConfig(), retrieval);
    new Thread(scheduler).start();

    var stdin = new BufferedReader(new InputStreamReader(System.in));
    for (String line = stdin.readLine(); line != null && !line.equals("stop"); line = stdin.readLine()) confirm(line);
    var stopped = scheduler.startGracefulShutdown();
    // Batches that are in hand are confirmed meanwhile.
    var confirming = new Thread(() -> stdin.lines().forEach(KclWorker::confirm));
    confirming.setDaemon(true);
    confirming.start();
    try {
      stopped.get(20, TimeUnit.SECONDS);
    } finally {
      Runtime.getRuntime().halt(0);
    }
  }

  private static void confirm(String batch) {
    var waiting = unconfirmed.remove(Integer.valueOf(batch));
    if (waiting != null) waiting.complete(null);
  }

  private static synchronized void print(String line) {
    System.out.println(line);
    System.out.flush();
  }

  private static final class Reporter implements ShardRecordProcessor {
    private String shard;

    @Override
    public void initialize(InitializationInput input) {
      shard = input.shardId();
    }

    @Override
    public void processRecords(ProcessRecordsInput input) {
      if (input.records().isEmpty()) return;
      int batch = batches.incrementAndGet();
      var confirmed = new CompletableFuture<Void>();
      unconfirmed.put(batch, confirmed);
      var records = new StringJoiner(",");
      for (KinesisClientRecord record : input.records()) {
        byte[] row = new byte[record.data().remaining()];
        record.data().get(row);
        // Nothing to escape: rows are numbers, and a copy is a sequence number and a sub-sequence number.
        records.add("[" + new String(row) + ",\"" + record.sequenceNumber() + "/" + record.subSequenceNumber() + "\"]");
      }
      print("{\"batch\":" + batch + ",\"shard\":\"" + shard + "\",\"records\":[" + records + "]}");
      confirmed.join();
      checkpoint(input.checkpointer());
    }

    @Override
    public void leaseLost(LeaseLostInput input) {}

    @Override
    public void shardEnded(ShardEndedInput input) {
      checkpoint(input.checkpointer());
    }

    @Override
    public void shutdownRequested(ShutdownRequestedInput input) {
      checkpoint(input.checkpointer());
    }

    /** What is not checkpointed comes again, here or elsewhere. */
    private void checkpoint(RecordProcessorCheckpointer checkpointer) {
      try {
        checkpointer.checkpoint();
      } catch (Exception error) {
        System.err.println("checkpoint of " + shard + ": " + error);
      }
    }
  }
}
