// The inference stack of the Python original, by the AWS CDK: an HTTP API whose one route hands requests to a function made
// of an image. `cargo bench -p kidu-infra` times its synthesis. Run it by `npx cdk synth --app 'node app.js'`.
'use strict';

const cdk = require('aws-cdk-lib');
const apigateway = require('aws-cdk-lib/aws-apigatewayv2');
const ecr = require('aws-cdk-lib/aws-ecr');
const iam = require('aws-cdk-lib/aws-iam');
const lambda = require('aws-cdk-lib/aws-lambda');

class Inference extends cdk.Stack {
  constructor(scope, id, props) {
    super(scope, id, props);
    const parameter = (name) => new cdk.CfnParameter(this, name, { type: 'String' }).valueAsString;
    const project = parameter('SageMakerProjectName');
    const roleArn = parameter('ModelExecutionRoleArn');
    const model = parameter('ModelBinaryLocation');
    const name = `${project}-${parameter('StageName')}`;

    const repository = ecr.Repository.fromRepositoryName(this, 'images', 'intel-scene-lambda');
    const role = iam.Role.fromRoleArn(this, 'role', roleArn, { mutable: false });
    const handler = new lambda.DockerImageFunction(this, 'lambda', {
      functionName: name,
      code: lambda.DockerImageCode.fromEcr(repository, { tagOrDigest: 'latest' }),
      environment: { MODEL_S3_URI: model },
      memorySize: 1024,
      timeout: cdk.Duration.seconds(60),
      role,
    });
    const api = new apigateway.HttpApi(this, 'apigateway', {
      apiName: name,
      corsPreflight: {
        allowHeaders: ['Authorization'],
        allowMethods: [apigateway.CorsHttpMethod.POST],
        allowOrigins: ['*'],
        maxAge: cdk.Duration.days(10),
      },
    });
    const integration = new apigateway.CfnIntegration(this, 'integration', {
      apiId: api.apiId,
      credentialsArn: roleArn,
      integrationMethod: 'POST',
      integrationType: 'AWS_PROXY',
      integrationUri: handler.functionArn,
      payloadFormatVersion: '2.0',
    });
    new apigateway.CfnRoute(this, 'route', {
      apiId: api.apiId,
      routeKey: 'POST /',
      target: `integrations/${integration.ref}`,
    });
  }
}

const app = new cdk.App({ analyticsReporting: false });
new Inference(app, 'inference', { synthesizer: new cdk.LegacyStackSynthesizer() });
app.synth();
