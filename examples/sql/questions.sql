-- Questions of docs/sql.md, for: kafila sql < examples/sql/questions.sql

-- Which images run where
SELECT image, cluster, count(*) AS workloads
FROM work, unnest(images) AS image WHERE applied GROUP BY image, cluster ORDER BY image, cluster;

-- Which workloads have fewer ready replicas than they should
SELECT namespace, kind, name, cluster, replicas, coalesce(ready, 0) AS ready, health
FROM placement WHERE NOT leaving AND NOT waits AND coalesce(ready, 0) < replicas ORDER BY namespace, name, cluster;

-- What has been pending for more than five minutes, and why
SELECT namespace, kind, name, cluster, awaits, reason, message, now() - since AS "for"
FROM pending WHERE since < now() - interval '5 minutes' ORDER BY since;

-- Which clusters run an old Kubernetes
SELECT name, version, provider, region FROM cluster
WHERE string_to_array(substring(version FROM '\d+\.\d+'), '.')::int[] < ARRAY[1, 35] ORDER BY name;

-- How much room there is, cluster by cluster
SELECT name, nodes_ready || '/' || nodes AS nodes, cpu - cpu_used AS cpu_free, pg_size_pretty(memory - memory_used) AS memory_free
FROM cluster WHERE ready = 'True' AND NOT cordoned ORDER BY cpu - cpu_used DESC NULLS LAST;

-- What stands in one cluster only, and goes with it
SELECT namespace, kind, name, min(cluster) AS cluster
FROM placement WHERE NOT leaving AND NOT waits GROUP BY namespace, kind, name HAVING count(*) = 1 ORDER BY 1, 2, 3;

-- What waits for its turn in a staged rollout and is nowhere in that cluster yet
SELECT namespace, kind, name, array_agg(cluster ORDER BY cluster) AS clusters FROM placement WHERE waits GROUP BY 1, 2, 3;

-- What a policy places
SELECT policy, count(DISTINCT (namespace, kind, name)) AS templates, count(DISTINCT cluster) AS clusters, sum(replicas) AS replicas
FROM placement GROUP BY policy ORDER BY templates DESC;

-- Where bindings and Works disagree (kafila check also looks into the members)
SELECT reason, cluster, namespace, kind, name, message FROM drift ORDER BY reason, cluster;

-- What went wrong in the last hour, most often first
SELECT namespace, kind, name, reason, sum(count) AS times, max(last) AS last
FROM event WHERE type = 'Warning' AND last > now() - interval '1 hour'
GROUP BY namespace, kind, name, reason ORDER BY times DESC LIMIT 20;

-- What each team has, by a label
SELECT labels ->> 'team' AS team, kind, count(*) FROM object
WHERE cluster = '' AND labels ? 'team' GROUP BY 1, 2 ORDER BY 1, 2;

-- Pods in all members by their image (a ResourceRegistry has to select pods)
SELECT image, count(*) AS pods, count(*) FILTER (WHERE ready = 0) AS not_ready, array_agg(DISTINCT cluster) AS clusters
FROM object, unnest(images) AS image WHERE cluster <> '' AND kind = 'Pod' GROUP BY image ORDER BY pods DESC;

-- How fresh all of this is
SELECT revision, at, now() - at AS age FROM state;
